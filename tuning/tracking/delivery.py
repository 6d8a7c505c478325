"""A launch folder's projection into MLflow: while it runs, when it is resumed, and afterwards."""

from __future__ import annotations

import logging
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from mlflow.exceptions import MlflowException

from tuning.errors import ChromatuneError
from tuning.launch.folder import JOURNAL, SEARCH, Launch
from tuning.launch.storage import LaunchStorage
from tuning.launch.tracker import Tracker
from tuning.tracking.address import store_command
from tuning.tracking.cell_runs import Projector
from tuning.tracking.expected_runs import LaunchPlan
from tuning.tracking.runs import LaunchRuns
from tuning.tracking.store import (
    RETRY,
    STORE_ERRORS,
    first_line,
    make_client,
    prepare_store,
    translated,
)
from tuning.utils.redaction import redact

_News = Callable[[Projector], None]
_LOG = logging.getLogger(__name__)
_FLUSH_EVERY_S = 1.0
# Renewing the parent's table takes at most this share of the time.
_DESCRIBING_SHARE = 1 / 50
_FIRST_RETRY_S = 1.0
_LAST_RETRY_S = 30.0
# How long one call may hang beyond the delivery timeout before `close` gives up on the thread.
_ONE_CALL_S = 45.0
_AT_ONCE_S = 5.0
# A repeated call cannot change these; others may come from a store that is back in a while.
_LASTING_CODES = frozenset(
    {"INVALID_PARAMETER_VALUE", "BAD_REQUEST", "PERMISSION_DENIED", "RESOURCE_DOES_NOT_EXIST"}
)


def project_launch(storage: LaunchStorage, uri: str) -> None:
    """Write everything in a launch's folder to MLflow; run again, it changes nothing.

    For launches that no process is running any more, wherever they were trained: afterwards none
    of their runs is RUNNING. Raises ChromatuneError if the store cannot be reached, or, after all
    else is written, if a training's files are damaged or MLflow rejects them.
    """
    prepare_store(uri)
    with translated(f"launch {storage.name} could not be written to MLflow completely", RETRY):
        projector = Projector(LaunchPlan(storage), uri)
        projector.read_folder()
        projector.parent.open()
        problems = [_deliver(projector, training_id) for training_id in projector.pending]
        projector.finish(None)
    if any(problems):
        raise ChromatuneError("; ".join(filter(None, problems)))


def log_search(launch: Launch, tracking_uri: str) -> None:
    """Copy the launch's folder `search` and journal to the parent run's artifacts.

    Older files are replaced.

    Raises ChromatuneError if MLflow rejects it, or has no parent run of the launch.
    """
    client = make_client(tracking_uri)
    again = f"run {launch.resume_command()}"
    failure = f"the report of {launch.launch_id} could not be written to MLflow"
    with translated(failure, again), tempfile.TemporaryDirectory() as scratch:
        experiment = client.get_experiment_by_name(str(launch.document["experiment"]))
        parent = None
        if experiment is not None:
            parent = LaunchRuns(client, experiment.experiment_id, launch.launch_id).find("")
        if parent is None:
            raise ChromatuneError(f"launch {launch.launch_id} is not in MLflow: {again}")
        for name in launch.storage.list_dir(SEARCH):
            launch.storage.download(f"{SEARCH}/{name}", Path(scratch) / name)
        if launch.storage.exists(JOURNAL):
            launch.storage.download(JOURNAL, Path(scratch) / JOURNAL)
        client.log_artifacts(parent.run_id, scratch, SEARCH)


class Projection(Tracker):
    """Keeps MLflow up to date while a launch runs, from one background thread.

    Training never waits for MLflow: `observe` and `training_ended` only add to a queue. If the
    store is unavailable, the queue is kept, one warning is logged, and delivery resumes when it is
    back. `delivery_timeout_s` is how long `close` waits for an unavailable store; with 0 it returns
    within a few seconds, whatever the store does.
    """

    def __init__(
        self, storage: LaunchStorage, uri: str, *, delivery_timeout_s: float = 60.0
    ) -> None:
        self._storage = storage
        self._uri = uri
        self.delivery_timeout_s = delivery_timeout_s
        self._projector: Projector | None = None
        self._wake = threading.Condition()
        self._news: list[_News] = []
        self._closing_as: str | None = None
        self._is_unavailable = False
        self._warned: set[str] = set()
        self._progressed_at = self._describe_at = 0.0
        self._is_described = True
        self._is_complete = False
        self._thread = threading.Thread(target=self._run, name="mlflow-projection", daemon=True)

    def start(self) -> None:
        """Open the store, find or create the experiment and the parent run, and start the thread.

        The thread first writes what the folder already holds. Raises ChromatuneError if the store
        cannot be reached or written.
        """
        prepare_store(self._uri)
        with translated(f"launch {self._storage.name} cannot be written to MLflow"):
            self._projector = Projector(LaunchPlan(self._storage), self._uri)
            self._projector.parent.reopen()
        self._news.append(Projector.read_folder)
        self._thread.start()

    def observe(self, training_id: str, records: Sequence[Mapping[str, Any]]) -> None:
        """Queue live epochs; one with `milestone` names a cell whose folder is complete."""
        taken = [dict(record) for record in records]
        with self._wake:
            self._news.append(lambda projector: projector.observe(training_id, taken))

    def training_ended(self, training_id: str, outcome: str, message: str) -> None:
        """Queue that a training ended: finished, pruned, diverged, failed or stopped."""
        with self._wake:
            self._news.append(
                lambda projector: projector.training_ended(training_id, outcome, message)
            )

    def close(self, status: str) -> list[str]:
        """Deliver everything, end all runs, and return what is not completely in MLflow.

        The parent run gets `status`: FINISHED, FAILED or KILLED. Returned are ids of cells, and the
        launch id if its runs could not be ended because the store was unavailable for longer than
        the delivery timeout. `project_launch` completes it later.
        """
        if self._projector is None:
            return []
        with self._wake:
            # The folder again: it may hold a cell whose report was lost.
            self._news.append(Projector.read_folder)
            self._closing_as = status
            self._progressed_at = time.monotonic()
            self._wake.notify()
        began = self._progressed_at
        is_reported = False
        while self._thread.is_alive() and not self._has_waited_enough(began):
            self._thread.join(0.2)
            if self._is_unavailable and self.delivery_timeout_s and not is_reported:
                is_reported = True
                where = self._storage.uri.rpartition("/")[0]
                _LOG.warning(
                    "waiting up to %g s for MLflow; press Ctrl-C to skip, and write the rest later "
                    "with %s",
                    self.delivery_timeout_s,
                    store_command(self._uri, "doctor", "--storage-path", where),
                )
        missing = self._projector.undelivered_cells
        return missing if self._is_complete else [*missing, self._storage.name]

    def _run(self) -> None:
        assert self._projector is not None
        retry_s = _FIRST_RETRY_S
        wait_s = 0.0
        while True:
            with self._wake:
                if self._closing_as is None or wait_s > _FLUSH_EVERY_S:
                    self._wake.wait(wait_s)
                status = self._closing_as
            if self._attempt(self._projector, status):
                retry_s, wait_s = _FIRST_RETRY_S, _FLUSH_EVERY_S
                if status is not None:
                    self._is_complete = True
                    return
            else:
                if status is not None and self._waited() >= self.delivery_timeout_s:
                    return
                wait_s, retry_s = retry_s, min(2 * retry_s, _LAST_RETRY_S)

    def _attempt(self, projector: Projector, status: str | None) -> bool:
        """Write all that is known; with `status`, end the launch too. False if MLflow fails."""
        try:
            self._take_news(projector)
            pending = projector.pending
            for training_id in pending:
                problem = _deliver(projector, training_id)
                if problem:
                    self._warn_once(problem)
                self._progressed_at = time.monotonic()
            self._is_described = self._is_described and not pending
            if status is not None:
                projector.finish(status)
            elif not self._is_described and time.monotonic() >= self._describe_at:
                self._describe(projector)
        except STORE_ERRORS as error:
            projector.forget()
            self._warn_unavailable(error)
            return False
        if self._is_unavailable:
            self._is_unavailable = False
            _LOG.warning("MLflow is available again; all queued results are written")
        return True

    def _describe(self, projector: Projector) -> None:
        """Update the parent run's table, less often the longer it takes."""
        started = time.monotonic()
        projector.parent.describe()
        self._is_described = True
        ended = time.monotonic()
        self._describe_at = ended + (ended - started) / _DESCRIBING_SHARE

    def _take_news(self, projector: Projector) -> None:
        while True:
            with self._wake:
                if not self._news:
                    return
                news = self._news[0]
            try:
                news(projector)
            except ChromatuneError as error:
                self._warn_once(str(error))
            # Dropped only now: what failed because storage was unavailable is tried again.
            with self._wake:
                del self._news[0]

    def _warn_unavailable(self, error: BaseException) -> None:
        if not self._is_unavailable:
            self._is_unavailable = True
            _LOG.warning(
                "MLflow at %s is unavailable (%s); training continues, and its results are queued "
                "until MLflow is available again",
                redact(self._uri),
                first_line(error),
            )

    def _warn_once(self, message: str) -> None:
        if message not in self._warned:
            self._warned.add(message)
            _LOG.warning("%s; trying again at the end", message)

    def _has_waited_enough(self, began: float) -> bool:
        """Whether `close` gives up on the thread; a call that it has started may take longer."""
        if not self.delivery_timeout_s:
            return time.monotonic() - began >= _AT_ONCE_S
        return self._waited() >= self.delivery_timeout_s + _ONE_CALL_S

    def _waited(self) -> float:
        return time.monotonic() - self._progressed_at


def _deliver(projector: Projector, training_id: str) -> str | None:
    """Write one training; return a problem of it alone, which must not stop the others."""
    try:
        projector.deliver(training_id)
    except ChromatuneError as error:
        problem = str(error)
    except MlflowException as error:
        if error.error_code not in _LASTING_CODES:
            raise
        projector.forget()
        problem = f"MLflow rejects {training_id}: {first_line(error)}"
    else:
        return None
    projector.set_aside(training_id)
    return problem
