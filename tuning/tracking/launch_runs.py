"""Everything that an MLflow store has of one launch, to be deleted with it."""

from __future__ import annotations

import dataclasses
from functools import partial

from mlflow.entities.model_registry import ModelVersion

from tuning.tracking.runs import TAG
from tuning.tracking.store import (
    RETRY,
    all_pages,
    experiment_ids,
    is_there,
    make_client,
    search_all_runs,
    translated,
)
from tuning.utils.redaction import redact


@dataclasses.dataclass(frozen=True)
class LaunchRuns:
    """Ids of runs and of logged models, and the registered versions that come from these runs."""

    run_ids: tuple[str, ...] = ()
    model_ids: tuple[str, ...] = ()
    versions: tuple[ModelVersion, ...] = ()

    @property
    def registered(self) -> list[str]:
        """The versions as `models:/NAME/VERSION`."""
        return [f"models:/{version.name}/{version.version}" for version in self.versions]


def runs_of_launch(uri: str, launch_id: str) -> LaunchRuns:
    """What the store at `uri` has of a launch; nothing is written to it.

    Raises ChromatuneError if the store cannot be read.
    """
    if not is_there(uri):
        return LaunchRuns()
    with translated(f"cannot read the tracking store {redact(uri)}"):
        client = make_client(uri)
        query = f"tags.`{TAG}launch_id` = '{launch_id}'"
        runs = list(search_all_runs(client, experiment_ids(client), query))
        known = {run.info.run_id for run in runs}
        models: list[str] = []
        for experiment in sorted({run.info.experiment_id for run in runs}):
            search = partial(client.search_logged_models, [experiment])
            found = all_pages(search)
            models += [model.model_id for model in found if model.source_run_id in known]
        versions = [one for one in all_pages(client.search_model_versions) if one.run_id in known]
    return LaunchRuns(tuple(known), tuple(models), tuple(versions))


def delete_runs(uri: str, found: LaunchRuns) -> None:
    """Delete registered versions, logged models and runs, in this order; it may be repeated.

    Raises ChromatuneError if the store does not do so.
    """
    if not found.run_ids:
        return
    with translated(f"cannot delete runs in the tracking store {redact(uri)}", RETRY):
        client = make_client(uri)
        for version in found.versions:
            client.delete_model_version(version.name, version.version)
        for model_id in found.model_ids:
            client.delete_logged_model(model_id)
        for run_id in found.run_ids:
            client.delete_run(run_id)
