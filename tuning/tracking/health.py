"""What an MLflow store has of each launch."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping

from mlflow.entities import LifecycleStage, Run, ViewType
from mlflow.store.db.utils import _get_latest_schema_revision, _get_schema_version
from sqlalchemy import create_engine

from tuning.tracking.address import mlflow_command
from tuning.tracking.logged_model import has_weights
from tuning.tracking.runs import FINISHED, RUNNING, TAG, runs_by_cell
from tuning.tracking.store import (
    experiment_ids,
    is_server,
    is_there,
    make_client,
    other_version,
    search_all_runs,
    translated,
)
from tuning.tracking.ui.images import IMAGES_TAG
from tuning.utils.redaction import redact


@dataclasses.dataclass(frozen=True)
class TrackedLaunch:
    """How many runs of a launch are RUNNING, and the outcomes of its cells, by cell id.

    `finished` are the runs that are complete, `trash` those that were deleted and can be restored,
    both by cell id; the parent run's is empty.
    """

    running: int = 0
    outcomes: Mapping[str, str] = dataclasses.field(default_factory=dict)
    finished: Mapping[str, Run] = dataclasses.field(default_factory=dict)
    trash: Mapping[str, Run] = dataclasses.field(default_factory=dict)


def tracked_launches(uri: str) -> dict[str, TrackedLaunch]:
    """What the store at `uri` has of every launch, by launch id; nothing is written to it.

    Raises ChromatuneError if it cannot be read.
    """
    if not is_there(uri):
        return {}
    by_launch: dict[str, list[Run]] = {}
    with translated(f"cannot read the tracking store {redact(uri)}"):
        if not is_server(uri):
            version = _schema_version(uri)
            if version is None:  # a database without tables
                return {}
            if version != _get_latest_schema_revision():  # MLflow would migrate some of these
                raise other_version(uri, version)
        client = make_client(uri)
        ids = experiment_ids(client)
        for run in search_all_runs(client, ids, "", ViewType.ALL):
            if launch_id := run.data.tags.get(f"{TAG}launch_id"):
                by_launch.setdefault(launch_id, []).append(run)
    return {launch_id: _tracked(runs) for launch_id, runs in by_launch.items()}


def cells_without_files(uri: str, tracked: TrackedLaunch) -> dict[str, Run]:
    """The finished runs of a launch whose files are gone from the store, by cell id.

    Looked for are a cell's model and its sheet of pictures, and the document of the parent run.
    """
    client = make_client(uri)
    found = {}
    with translated(f"cannot read the artifacts of {redact(uri)}"):
        for cell_id, run in tracked.finished.items():
            models = [output.model_id for output in run.outputs.model_outputs]
            wanted = {"sheet.png"} if IMAGES_TAG in run.data.tags else set()
            wanted |= set() if cell_id else {"launch.json"}
            names = {file.path for file in client.list_artifacts(run.info.run_id)} if wanted else ()
            is_whole = not models or any(has_weights(client, name) for name in models)
            if not is_whole or not wanted.issubset(names):
                found[cell_id] = run
    return found


def deleted_experiment(uri: str, name: str) -> str:
    """The command that restores an experiment from MLflow's trash; empty if it is not there."""
    if not is_there(uri):
        return ""
    with translated(f"cannot read the tracking store {redact(uri)}"):
        found = make_client(uri).get_experiment_by_name(name)
    if found is None or found.lifecycle_stage == "active":
        return ""
    return mlflow_command(uri, "experiments", "restore", "-x", str(found.experiment_id))


def restore(uri: str, runs: Iterable[Run]) -> None:
    """Take runs out of MLflow's trash."""
    client = make_client(uri)
    with translated("the runs could not be restored"):
        for run in runs:
            client.restore_run(run.info.run_id)


def reopen(uri: str, runs: Iterable[Run]) -> None:
    """Set complete runs to RUNNING, so that the next delivery writes their files again."""
    client = make_client(uri)
    with translated("the runs could not be reopened"):
        for run in runs:
            client.update_run(run.info.run_id, status=RUNNING)


def _schema_version(uri: str) -> str | None:
    engine = create_engine(uri)
    try:
        version: str | None = _get_schema_version(engine)
        return version
    finally:
        engine.dispose()


def _tracked(all_runs: list[Run]) -> TrackedLaunch:
    runs = [run for run in all_runs if run.info.lifecycle_stage == LifecycleStage.ACTIVE]
    outcomes, finished = {}, {}
    for cell_id, (run, *_) in runs_by_cell(runs).items():
        outcome = run.data.tags.get(f"{TAG}outcome", "")
        # A cell counts as finished when all of it was delivered.
        if cell_id and (outcome != "finished" or run.info.status == FINISHED):
            outcomes[cell_id] = outcome
        if run.info.status == FINISHED:
            finished[cell_id] = run
    deleted = [run for run in all_runs if run.info.lifecycle_stage != LifecycleStage.ACTIVE]
    active = runs_by_cell(runs)
    trash = {key: run for key, (run, *_) in runs_by_cell(deleted).items() if key not in active}
    running = sum(run.info.status == RUNNING for run in runs)
    return TrackedLaunch(running, outcomes, finished, trash)
