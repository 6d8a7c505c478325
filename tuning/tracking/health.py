"""Problems of an MLflow store: an outdated schema, and runs that no process works on."""

from __future__ import annotations

import contextlib
import dataclasses
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from alembic.util import CommandError
from mlflow.entities import Run
from mlflow.exceptions import MlflowException
from mlflow.store.db.utils import _get_latest_schema_revision, _get_schema_version, _upgrade_db
from sqlalchemy import create_engine
from sqlalchemy.engine import Engine, make_url
from sqlalchemy.exc import SQLAlchemyError

from tuning.errors import ChromatuneError
from tuning.tracking.runs import KILLED, RUNNING, TAG, latest_metrics, runs_by_cell
from tuning.tracking.store import (
    experiment_ids,
    first_line,
    is_server,
    is_there,
    make_client,
    reading,
    search_all_runs,
)
from tuning.utils.redaction import redact


@dataclasses.dataclass(frozen=True)
class OpenRun:
    """A run of a launch that MLflow has as RUNNING.

    `silent_s` is the time since the last update of its launch: a parent run logs no metric until
    its children have ended.
    """

    run_id: str
    name: str
    launch_id: str
    silent_s: float


def schema_of(uri: str) -> Literal["none", "outdated", "current"]:
    """State of the store's schema: `none` without tables, `outdated` if of an older MLflow.

    A server's is always current. Raises ChromatuneError if a database cannot be opened.
    """
    if is_server(uri):
        return "current"
    if not is_there(uri):
        return "none"
    with _engine(uri, "cannot open the tracking store") as engine:
        version = _get_schema_version(engine)
    if version is None:
        return "none"
    return "current" if version == _get_latest_schema_revision() else "outdated"


def keeps_copy(uri: str) -> bool:
    """Whether `upgrade` keeps a copy of the database: only of SQLite files."""
    return make_url(uri).get_backend_name() == "sqlite"


def upgrade(uri: str) -> Path | None:
    """Migrate a database to this MLflow's schema; return the copy kept of a SQLite file.

    Raises ChromatuneError if no copy can be written, or if the migration fails; the copy is then
    there.
    """
    copy = None
    if keeps_copy(uri):
        database = str(make_url(uri).database)
        copy = Path(f"{database}.before-upgrade-{time.strftime('%Y%m%d-%H%M%S')}")
        # SQLite's own backup, since another process may be writing to the file.
        _backup(Path(database), copy)
    kept = f"; the unchanged database is {copy}" if copy else ""
    with _engine(uri, "cannot upgrade the tracking store", kept) as engine:
        _upgrade_db(engine)
    return copy


def open_runs(uri: str, launch_id: str | None = None) -> list[OpenRun]:
    """Every run that has not ended, of one launch or of all, launch by launch."""
    query = f"attributes.status = '{RUNNING}'"
    if launch_id is not None:
        query += f" AND {_of_launch(launch_id)}"
    by_launch: dict[str, list[Run]] = {}
    client = make_client(uri)
    with reading():
        ids = experiment_ids(client)
        for run in search_all_runs(client, ids, query):
            if f"{TAG}launch_id" in run.data.tags:
                by_launch.setdefault(run.data.tags[f"{TAG}launch_id"], []).append(run)
        found = []
        for name, runs in by_launch.items():
            # Ended runs too: between two cells only the parent is open.
            all_runs = search_all_runs(client, ids, _of_launch(name))
            silent_s = time.time() - max(_last_update(run) for run in [*runs, *all_runs])
            found += [OpenRun(r.info.run_id, r.info.run_name, name, silent_s) for r in runs]
    return found


def recorded_outcomes(uri: str, launch_id: str) -> dict[str, str]:
    """The outcomes of a launch's cells in MLflow, by cell id."""
    client = make_client(uri)
    with reading():
        found = search_all_runs(client, experiment_ids(client), _of_launch(launch_id))
        runs = runs_by_cell(found)
    return {
        cell_id: run.data.tags.get(f"{TAG}outcome", "")
        for cell_id, (run, *_) in runs.items()
        if cell_id
    }


def end_as_killed(uri: str, runs: list[OpenRun]) -> None:
    """End runs whose launch is gone; ChromatuneError if MLflow does not accept it."""
    client = make_client(uri)
    try:
        for run in runs:
            client.set_tag(run.run_id, f"{TAG}outcome", "stopped")
            client.set_terminated(run.run_id, KILLED)
    except MlflowException as error:
        raise ChromatuneError(f"cannot end the runs in MLflow: {first_line(error)}") from None


def _of_launch(launch_id: str) -> str:
    return f"tags.`{TAG}launch_id` = '{launch_id}'"


def _last_update(run: Run) -> float:
    """When a run started, logged its last epoch or ended, in seconds since 1970."""
    logged = [metric.timestamp for metric in latest_metrics(run)]
    return float(max(run.info.start_time, run.info.end_time or 0, *logged)) / 1000


@contextlib.contextmanager
def _engine(uri: str, failing: str, then: str = "") -> Iterator[Engine]:
    """An engine of the database; ChromatuneError if it cannot be used, or has no driver here."""
    try:
        engine = create_engine(uri)
        try:
            yield engine
        finally:
            engine.dispose()
    except (MlflowException, SQLAlchemyError, CommandError, ImportError) as error:
        raise ChromatuneError(f"{failing} {redact(uri)}: {first_line(error)}{then}") from None


def _backup(database: Path, copy: Path) -> None:
    try:
        with (
            contextlib.closing(sqlite3.connect(database)) as source,
            contextlib.closing(sqlite3.connect(copy)) as target,
        ):
            source.backup(target)
    except sqlite3.Error as error:
        with contextlib.suppress(OSError):
            copy.unlink(missing_ok=True)
        raise ChromatuneError(
            f"the tracking store has the schema of an older MLflow and was not upgraded: the copy "
            f"{copy} cannot be written: {error}"
        ) from None
