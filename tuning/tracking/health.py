"""What an MLflow store has of each launch."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from mlflow.entities import Run
from mlflow.store.db.utils import _get_latest_schema_revision, _get_schema_version
from sqlalchemy import create_engine

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
from tuning.utils.redaction import redact


@dataclasses.dataclass(frozen=True)
class TrackedLaunch:
    """How many runs of a launch are RUNNING, and the outcomes of its cells, by cell id."""

    running: int = 0
    outcomes: Mapping[str, str] = dataclasses.field(default_factory=dict)


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
        for run in search_all_runs(client, experiment_ids(client), ""):
            if launch_id := run.data.tags.get(f"{TAG}launch_id"):
                by_launch.setdefault(launch_id, []).append(run)
    return {launch_id: _tracked(runs) for launch_id, runs in by_launch.items()}


def _schema_version(uri: str) -> str | None:
    engine = create_engine(uri)
    try:
        version: str | None = _get_schema_version(engine)
        return version
    finally:
        engine.dispose()


def _tracked(runs: list[Run]) -> TrackedLaunch:
    outcomes = {}
    for cell_id, (run, *_) in runs_by_cell(runs).items():
        outcome = run.data.tags.get(f"{TAG}outcome", "")
        # A cell counts as finished when all of it was delivered.
        if cell_id and (outcome != "finished" or run.info.status == FINISHED):
            outcomes[cell_id] = outcome
    return TrackedLaunch(sum(run.info.status == RUNNING for run in runs), outcomes)
