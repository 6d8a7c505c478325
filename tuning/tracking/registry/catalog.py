"""What the store offers to whoever uses a model: versions, their aliases and their scores."""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Mapping
from typing import Any

from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from tuning.config.schema import TASKS
from tuning.errors import ChromatuneError, nearest
from tuning.tracking.registry.descriptions import Measured
from tuning.tracking.registry.versions import CHAMPION, find_champion
from tuning.tracking.runs import FINISHED, TAG
from tuning.tracking.store import first_line, make_client

_NOT_THERE = ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE")
_OURS = re.compile(rf"[\w.-]+-({'|'.join(TASKS)})", re.ASCII)


class RegistryError(ChromatuneError):
    """The registry does not answer: what was known of it may still hold."""


@dataclasses.dataclass(frozen=True)
class ModelCard:
    """A model of the store: its name, whom it was made for, and how well it did.

    `version` is None for a model that is not registered (`models:/m-…`). `scores` are its metrics
    on test and val, as far as they were measured, and the constant predictor's `constant_test_…`.
    """

    uri: str
    name: str
    version: int | None
    dataset: str
    task: str
    aliases: tuple[str, ...] = ()
    scores: Mapping[str, float] = dataclasses.field(default_factory=dict)

    @property
    def label(self) -> str:
        """What a person calls it: `faces-colorizer version 3`."""
        return self.name if self.version is None else f"{self.name} version {self.version}"

    @property
    def is_champion(self) -> bool:
        return CHAMPION in self.aliases


def list_models(tracking_uri: str, task: str) -> list[ModelCard]:
    """Every registered version for `task`, by name, the newest first.

    Raises RegistryError if the registry cannot be read.
    """
    client = make_client(tracking_uri)
    try:
        models = [model for model in _registered(client) if _task_of(model.name) == task]
        cards = [
            _card(version, dict(model.aliases))
            for model in models
            for version in _versions(client, model.name)
        ]
    except MlflowException as error:
        raise _unreadable(error) from None
    return sorted(cards, key=lambda card: (card.name, -(card.version or 0)))


def champion_card(tracking_uri: str, dataset: str, task: str) -> ModelCard | None:
    """The champion of a dataset for `task`, None if there is none; RegistryError as above."""
    try:
        found = find_champion(tracking_uri, dataset, task)
    except ChromatuneError as error:
        raise RegistryError(str(error)) from None
    return None if found is None else _card(found, {CHAMPION: str(found.version)})


def find_model(model_uri: str, tracking_uri: str) -> ModelCard:
    """Look up `models:/<name>/<version>`, `models:/<name>@<alias>` or `models:/m-<id>`.

    The card's own URI names the version, whatever the alias points to later. Raises
    ChromatuneError, naming the nearest registered model, if it is not there.
    """
    name = model_uri.removeprefix("models:/")
    if name == model_uri or not name:
        raise ChromatuneError(
            f"'{model_uri}' is not a model: use models:/<name>/<version> or models:/<name>@champion"
        )
    client = make_client(tracking_uri)
    try:
        if "@" not in name and "/" not in name:
            return _logged(client, model_uri, name)
        # `name@alias/3` or `a/b/3` name nothing: MLflow says so of what is left of them.
        if "@" in name:
            version = client.get_model_version_by_alias(*name.split("@", 1))
        else:
            version = client.get_model_version(*name.split("/", 1))
        return _card(version, dict(client.get_registered_model(version.name).aliases))
    except MlflowException as error:
        if error.error_code not in _NOT_THERE:
            raise _unreadable(error) from None
        known = [model.name for model in _registered(client)]
        wanted = name.replace("@", "/").split("/")[0]
        hint = "" if wanted in known else nearest(wanted, known)
        raise ChromatuneError(f"no model '{model_uri}': {first_line(error)}{hint}") from None


def has_finished_cell(tracking_uri: str, dataset: str, task: str) -> bool:
    """Whether some run on `dataset` could be promoted."""
    client = make_client(tracking_uri)
    wanted = {"outcome": "finished", "dataset": dataset, "task": task}
    terms = [f"tags.`{TAG}{key}` = '{value}'" for key, value in wanted.items()]
    query = " AND ".join([f"attributes.status = '{FINISHED}'", *terms])
    try:
        experiments = [experiment.experiment_id for experiment in client.search_experiments()]
        return bool(experiments and client.search_runs(experiments, query, max_results=1))
    except MlflowException as error:
        raise _unreadable(error) from None


def _registered(client: MlflowClient) -> list[Any]:
    return _all_pages(lambda token: client.search_registered_models(page_token=token))


def _versions(client: MlflowClient, name: str) -> list[Any]:
    query = f"name = '{name}'"
    return _all_pages(lambda token: client.search_model_versions(query, page_token=token))


def _all_pages(search: Any) -> list[Any]:
    found, token = [], None
    while True:
        page = search(token)
        found += page
        token = page.token
        if not token:
            return found


def _card(version: Any, aliases: Mapping[str, str]) -> ModelCard:
    """Make the card of a version, be it MLflow's or this project's view of it."""
    number = int(version.version)
    return ModelCard(
        uri=f"models:/{version.name}/{number}",
        name=version.name,
        version=number,
        dataset=version.name.rpartition("-")[0],
        task=_task_of(version.name),
        aliases=tuple(sorted(name for name, named in aliases.items() if int(named) == number)),
        scores=_scores(Measured.of(version.tags)),
    )


def _logged(client: MlflowClient, model_uri: str, model_id: str) -> ModelCard:
    model = client.get_logged_model(model_id)
    return ModelCard(
        uri=model_uri,
        name=model_uri,
        version=None,
        dataset=model.tags.get(f"{TAG}dataset", ""),
        task=model.tags.get(f"{TAG}task", ""),
        scores={
            metric.key: metric.value
            for metric in model.metrics or ()
            if math.isfinite(metric.value)
        },
    )


def _scores(measured: Measured) -> dict[str, float]:
    """The gate's figures under one name each; what is not finite could not be sent as JSON."""
    constant = {
        f"constant_{name.removeprefix('constant_')}": value
        for name, value in measured.constant_metrics.items()
    }
    figures = {**measured.val_metrics, **measured.test_metrics, **constant}
    return {name: value for name, value in figures.items() if math.isfinite(value)}


def _task_of(name: str) -> str:
    """The task that a registered model's name ends in; empty if it is none of this project's."""
    match = _OURS.fullmatch(name)
    return match[1] if match else ""


def _unreadable(error: MlflowException) -> RegistryError:
    return RegistryError(f"cannot read the model registry: {first_line(error)}")
