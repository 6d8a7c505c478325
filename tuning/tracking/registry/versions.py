"""Writes to the registry: versions, their descriptions, the champion's alias."""

from __future__ import annotations

from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException

from tuning.tracking.records import StoredCell
from tuning.tracking.registry.catalog import CHAMPION, PREVIOUS, Measured, versions_of
from tuning.tracking.runs import TAG
from tuning.tracking.ui.notes import model_note, version_note

_ABOUT = (
    "Models for {name}, each measured once on its test set. The alias `champion` marks the best, "
    "`previous` the one before it: `mlflow.pyfunc.load_model('models:/{name}@champion')`."
)


def version_of_run(client: MlflowClient, name: str, run_id: str) -> ModelVersion | None:
    """The version that was registered from a run; None if it has none."""
    return next((v for v in versions_of(client, name) if v.run_id == run_id), None)


def register(client: MlflowClient, name: str, cell: StoredCell, measured: Measured) -> int:
    """Register a cell's model under `name` with what was measured of it; return its version.

    A cell that is registered already gets no second version; what differs of it is written.
    """
    description, tags = version_note(cell, measured), measured.tags()
    present = version_of_run(client, name, cell.run_id)
    if present is not None:
        if Measured.of(present.tags) != measured:
            client.update_model_version(name, str(present.version), description)
            for key, text in tags.items():
                client.set_model_version_tag(name, str(present.version), key, text)
        return int(present.version)
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
    return int(version.version)


def crown(client: MlflowClient, name: str, version: int, displaced: int | None) -> None:
    """Make `version` the champion; the version `displaced` keeps the alias `previous`.

    The old champion is marked first and the alias then moved in one call, so that there is a
    champion at every moment.
    """
    if displaced is not None:
        client.set_registered_model_alias(name, PREVIOUS, str(displaced))
    client.set_registered_model_alias(name, CHAMPION, str(version))


def describe_model(client: MlflowClient, name: str) -> None:
    """Update the model's description: its versions, the newest first, and their scores.

    A description that a user has written stays.
    """
    model = client.get_registered_model(name)
    about = _ABOUT.format(name=name)
    if not (model.description or about).startswith(about.partition(".")[0]):
        return
    versions = client.search_model_versions(f"name = '{name}'")
    table = model_note(name, model.aliases, versions)
    client.update_registered_model(name, f"{about}\n\n{table}")
