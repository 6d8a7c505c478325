"""The registered models of a dataset and task, and who of them is champion."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException

from tuning.errors import ChromatuneError
from tuning.tracking.cells import TrackedCell
from tuning.tracking.registry.descriptions import Measured, version_description
from tuning.tracking.runs import TAG
from tuning.tracking.store import first_line, make_client
from tuning.tracking.ui.links import version_page
from tuning.tracking.ui.markdown import markdown_rows, spaced

CHAMPION, PREVIOUS = "champion", "previous"
_ABOUT = (
    "Models for {name}, each measured once on its test set. The alias `champion` marks the best, "
    "`previous` the one before it: `mlflow.pyfunc.load_model('models:/{name}@champion')`."
)
_LISTED = 20
_ABSENT = ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE")


@dataclasses.dataclass(frozen=True)
class RegisteredVersion:
    """A version in the registry, and what the gate measured of it."""

    name: str
    version: int
    run_id: str
    tags: Mapping[str, str]

    @property
    def uri(self) -> str:
        return f"models:/{self.name}/{self.version}"

    @property
    def measured(self) -> Measured:
        return Measured.of(self.tags)


def registered_name(dataset_name: str, task: str) -> str:
    """Name of the registered model: `faces-colorizer`."""
    return f"{dataset_name}-{task}"


def champion_uri(dataset_name: str, task: str) -> str:
    """URI of the present champion, whoever that is: `models:/faces-colorizer@champion`."""
    return f"models:/{registered_name(dataset_name, task)}@{CHAMPION}"


def find_champion(tracking_uri: str, dataset_name: str, task: str) -> RegisteredVersion | None:
    """The version that holds the alias `champion`; None if nothing was promoted yet.

    Raises ChromatuneError if the registry cannot be read.
    """
    client = make_client(tracking_uri)
    try:
        version = client.get_model_version_by_alias(registered_name(dataset_name, task), CHAMPION)
    except MlflowException as error:
        if error.error_code in _ABSENT:
            return None
        raise ChromatuneError(f"cannot read the model registry: {first_line(error)}") from None
    return _registered(version)


def pinned(model_uri: str, tracking_uri: str) -> str:
    """Replace an alias by the version it points to now, so that a launch names its parent for good.

    Raises ChromatuneError if nothing has that alias, saying how a champion is made.
    """
    name, at, alias = model_uri.removeprefix("models:/").partition("@")
    if not at:
        return model_uri
    try:
        version = make_client(tracking_uri).get_model_version_by_alias(name, alias)
    except MlflowException as error:
        if error.error_code not in _ABSENT:
            raise ChromatuneError(f"cannot read the model registry: {first_line(error)}") from None
        dataset, _, task = name.rpartition("-")
        raise ChromatuneError(
            f"no model '{model_uri}' yet: `chromatune promote {task} --dataset {dataset}` makes one"
        ) from None
    return _registered(version).uri


def find_version(client: MlflowClient, name: str, run_id: str) -> RegisteredVersion | None:
    """The version that was made of a run; None if it has none."""
    token = None
    while True:
        page = client.search_model_versions(f"name = '{name}'", page_token=token)
        for version in page:
            if version.run_id == run_id:
                return _registered(version)
        token = page.token
        if not token:
            return None


def register(
    client: MlflowClient, name: str, cell: TrackedCell, task: str, measured: Measured
) -> RegisteredVersion:
    """Register a cell's model under `name`, with what was measured of it.

    A cell that is registered already gets no second version; what differs of it is written.
    """
    description, tags = version_description(task, cell, measured), measured.tags()
    present = find_version(client, name, cell.run_id)
    if present is not None:
        if present.measured != measured:
            client.update_model_version(name, str(present.version), description)
            for key, text in tags.items():
                client.set_model_version_tag(name, str(present.version), key, text)
        return present
    try:
        client.create_registered_model(name, description=_ABOUT.format(name=name))
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
    origin = {"launch_id": cell.launch_id, "cell_id": cell.cell_id}
    if cell.parent_model:
        origin["parent_model"] = cell.parent_model
    version = client.create_model_version(
        name,
        # The location itself: a database store would look a models:/ URI up in the global store.
        source=client.get_logged_model(cell.model_id).artifact_location,
        run_id=cell.run_id,
        model_id=cell.model_id,
        tags={**{f"{TAG}{key}": text for key, text in origin.items()}, **tags},
        description=description,
    )
    return _registered(version)


def crown(
    client: MlflowClient, version: RegisteredVersion, displaced: RegisteredVersion | None
) -> None:
    """Make `version` the champion; `displaced` keeps the alias `previous`.

    The old champion is marked first and the alias then moved in one call, so that there is a
    champion at every moment.
    """
    if displaced is not None:
        client.set_registered_model_alias(version.name, PREVIOUS, str(displaced.version))
    client.set_registered_model_alias(version.name, CHAMPION, str(version.version))


def describe_model(client: MlflowClient, name: str) -> None:
    """Bring the model's description up to date: its versions, the newest first, and their scores.

    A description that somebody has written anew stays.
    """
    model = client.get_registered_model(name)
    about = _ABOUT.format(name=name)
    if not (model.description or about).startswith(about.partition(".")[0]):
        return
    aliases: dict[int, list[str]] = {}
    for alias, number in model.aliases.items():
        aliases.setdefault(int(number), []).append(f"`{alias}`")
    rows = []
    versions = [_registered(one) for one in client.search_model_versions(f"name = '{name}'")]
    for one in sorted(versions, key=lambda one: -one.version)[:_LISTED]:
        link = f"[{one.version}]({version_page(name, one.version)})"
        names = " ".join(sorted(aliases.get(one.version, [])))
        rows.append([link, names, one.measured.score, one.measured.decision])
    table = markdown_rows(["version", "alias", "test set", "gate"], rows)
    client.update_registered_model(name, f"{about}\n\n{spaced(table)}")


def _registered(version: ModelVersion) -> RegisteredVersion:
    return RegisteredVersion(
        version.name, int(version.version), str(version.run_id), dict(version.tags)
    )
