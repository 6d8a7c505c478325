"""The models in the registry: versions, their aliases, and what the gate measured of them."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import math
import re
from collections.abc import Iterator, Mapping
from typing import Any

from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException

from tuning.config.schema import TASKS
from tuning.display.formatting import format_value
from tuning.errors import ChromatuneError, nearest
from tuning.tracking.address import store_command
from tuning.tracking.runs import TAG
from tuning.tracking.store import all_pages, first_line, make_client, translated

CHAMPION, PREVIOUS = "champion", "previous"
_MEASURED = f"{TAG}measured"
_UNREADABLE = "cannot read the model registry"
_ABSENT = ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE")
_OURS = re.compile(rf"[\w.-]+-({'|'.join(TASKS)})", re.ASCII)


class RegistryError(ChromatuneError):
    """The registry cannot be read now; what was read before may still hold."""


@dataclasses.dataclass(frozen=True)
class Measured:
    """What the gate measured of a version on the test set of `dataset_digest`, and its decision.

    `rival` is the version that was champion then, empty if there was none; its metrics are empty
    too if it could not be measured.
    """

    dataset_digest: str = ""
    decision: str = ""
    metric: str = ""
    test_metrics: Mapping[str, float] = dataclasses.field(default_factory=dict)
    val_metrics: Mapping[str, float] = dataclasses.field(default_factory=dict)
    constant_metrics: Mapping[str, float] = dataclasses.field(default_factory=dict)
    rival: str = ""
    rival_metrics: Mapping[str, float] = dataclasses.field(default_factory=dict)

    def tags(self) -> dict[str, str]:
        """As tags of the version: the deciding figures to be read, all others as JSON in one."""
        val_metric = self.metric.replace("test_", "val_")
        figures = {**self.test_metrics, **self.val_metrics}
        short = {
            f"{TAG}{name}": format_value(name, figures[name])
            for name in (self.metric, val_metric)
            if name in figures
        }
        document = json.dumps(dataclasses.asdict(self))
        return {**short, f"{TAG}decision": self.decision, _MEASURED: document}

    @classmethod
    def of(cls, tags: Mapping[str, str]) -> Measured:
        """Read the tags of a version; nothing was measured if somebody else registered it."""
        with contextlib.suppress(KeyError, ValueError, TypeError):
            return cls(**json.loads(tags[_MEASURED]))
        return cls()


@dataclasses.dataclass(frozen=True)
class ModelCard:
    """A model in the store: its name, its dataset and task, its scores.

    `version` is None for a model that is not registered (`models:/m-…`). `scores` are its finite
    metrics on test and val, as far as they were measured, and the constant predictor's
    `constant_test_…`. `run_id` and `tags` are those of a registered version.
    """

    uri: str
    name: str
    version: int | None
    dataset: str
    task: str
    aliases: tuple[str, ...] = ()
    scores: Mapping[str, float] = dataclasses.field(default_factory=dict)
    run_id: str = ""
    tags: Mapping[str, str] = dataclasses.field(default_factory=dict)

    @property
    def label(self) -> str:
        """The name for people: `faces-colorizer version 3`."""
        return self.name if self.version is None else f"{self.name} version {self.version}"

    @property
    def is_champion(self) -> bool:
        return CHAMPION in self.aliases

    @property
    def measured(self) -> Measured:
        return Measured.of(self.tags)

    @property
    def decision(self) -> str:
        """What the gate decided about the version; empty if it never passed the gate."""
        return self.tags.get(f"{TAG}decision", "")


def registered_name(dataset: str, task: str) -> str:
    """Name of the registered model: `faces-colorizer`."""
    return f"{dataset}-{task}"


def champion_uri(dataset: str, task: str) -> str:
    """URI of the current champion: `models:/faces-colorizer@champion`."""
    return f"models:/{registered_name(dataset, task)}@{CHAMPION}"


def list_models(tracking_uri: str, task: str) -> list[ModelCard]:
    """Every registered version for `task`, by name, the newest first.

    Raises RegistryError if the registry cannot be read.
    """
    client = make_client(tracking_uri)
    with translated(_UNREADABLE, to=RegistryError):
        cards = [
            _card(version, model.aliases)
            for model in all_pages(client.search_registered_models)
            if _task_of(model.name) == task
            for version in versions_of(client, model.name)
        ]
    return sorted(cards, key=lambda card: (card.name, -(card.version or 0)))


def find_champion(tracking_uri: str, dataset: str, task: str) -> ModelCard | None:
    """The version with the alias `champion`; None if nothing was promoted yet.

    Raises RegistryError if the registry cannot be read.
    """
    client = make_client(tracking_uri)
    with translated(_UNREADABLE, to=RegistryError):
        try:
            version = client.get_model_version_by_alias(registered_name(dataset, task), CHAMPION)
        except MlflowException as error:
            if error.error_code in _ABSENT:
                return None
            raise
    return _card(version, {CHAMPION: version.version})


def find_model(model_uri: str, tracking_uri: str) -> ModelCard:
    """Look up `models:/<name>/<version>`, `models:/<name>@<alias>` or `models:/m-<id>`.

    The card's own URI names the version, whatever the alias points to later. Raises
    ChromatuneError, naming the nearest registered model, if it is not there.
    """
    name = model_name(model_uri)
    client = make_client(tracking_uri)
    with translated(_UNREADABLE, to=RegistryError):
        try:
            if "@" not in name and "/" not in name:
                return _logged(client, model_uri, name)
            version = find_version(client, name)
            return _card(version, client.get_registered_model(version.name).aliases)
        except MlflowException as error:
            if error.error_code not in _ABSENT:
                raise
            known = [model.name for model in all_pages(client.search_registered_models)]
            wanted, at, alias = name.replace("/", "@").partition("@")
            if "@" in name and wanted in known:
                reason = no_alias(wanted, alias, tracking_uri)
                raise ChromatuneError(f"no model '{model_uri}': {reason}") from None
            hint = "" if wanted in known else nearest(wanted, known)
            if at and _task_of(wanted):
                hint += f" ({_promote(wanted, tracking_uri)})"
            raise ChromatuneError(f"no model '{model_uri}': {first_line(error)}{hint}") from None


def no_alias(name: str, alias: str, tracking_uri: str) -> str:
    """Say that a registered model has versions, but none with this alias, and what sets it."""
    set_it = (
        f"`MlflowClient().set_registered_model_alias('{name}', '{alias}', VERSION)` in Python sets "
        f"it"
    )
    if alias == CHAMPION and _task_of(name):
        set_it = f"{_promote(name, tracking_uri)} sets it"
    return (
        f"the registered model '{name}' is there, but no version of it has the alias '{alias}': it "
        f"was removed in MLflow, or never set; {set_it}"
    )


def _promote(name: str, tracking_uri: str) -> str:
    words = ["promote", _task_of(name), "--dataset", _dataset_of(name)]
    return store_command(tracking_uri, *words)


def pinned(model_uri: str, tracking_uri: str) -> str:
    """Replace an alias by the version it points to now, so that a launch names its parent for good.

    Raises ChromatuneError if nothing has that alias.
    """
    return find_model(model_uri, tracking_uri).uri if "@" in model_uri else model_uri


def model_name(model_uri: str) -> str:
    """What stands behind `models:/`; ChromatuneError if `model_uri` is not a model URI."""
    name = model_uri.removeprefix("models:/")
    if name == model_uri or not name:
        raise ChromatuneError(
            f"'{model_uri}' is not a model: use models:/<name>/<version> or models:/<name>@champion"
        )
    return name


def find_version(client: MlflowClient, name: str) -> ModelVersion:
    """The registered version `<name>@<alias>` or `<name>/<version>`; MLflow's error if absent."""
    # `name@alias/3` or `a/b/3` name nothing: MLflow says so of what is left of them.
    if "@" in name:
        return client.get_model_version_by_alias(*name.split("@", 1))
    return client.get_model_version(*name.split("/", 1))


def versions_of(client: MlflowClient, name: str) -> Iterator[ModelVersion]:
    """Every version of a registered model."""
    return all_pages(
        lambda page_token: client.search_model_versions(f"name = '{name}'", page_token=page_token)
    )


def _card(version: ModelVersion, aliases: Mapping[str, Any]) -> ModelCard:
    number = int(version.version)
    measured = Measured.of(version.tags)
    constant = {f"constant_{name}": value for name, value in measured.constant_metrics.items()}
    return ModelCard(
        uri=f"models:/{version.name}/{number}",
        name=version.name,
        version=number,
        dataset=_dataset_of(version.name),
        task=_task_of(version.name),
        aliases=tuple(sorted(name for name, named in aliases.items() if int(named) == number)),
        scores=_finite({**measured.val_metrics, **measured.test_metrics, **constant}),
        run_id=str(version.run_id),
        tags=dict(version.tags),
    )


def _logged(client: MlflowClient, model_uri: str, model_id: str) -> ModelCard:
    model = client.get_logged_model(model_id)
    scores = {metric.key: metric.value for metric in model.metrics or ()}
    return ModelCard(
        uri=model_uri,
        name=model_uri,
        version=None,
        dataset=model.tags.get(f"{TAG}dataset", ""),
        task=model.tags.get(f"{TAG}task", ""),
        scores=_finite(scores),
    )


def _finite(figures: Mapping[str, float]) -> dict[str, float]:
    """Leave out what could not be sent as JSON."""
    return {name: value for name, value in figures.items() if math.isfinite(value)}


def _dataset_of(name: str) -> str:
    return name.rpartition("-")[0]


def _task_of(name: str) -> str:
    """The task that a registered model's name ends in; empty for models of other projects."""
    match = _OURS.fullmatch(name)
    return match[1] if match else ""
