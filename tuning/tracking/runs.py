"""The MLflow runs of one launch: found by tag or made, written in batches, ended once."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any

from mlflow import MlflowClient
from mlflow.entities import Metric, Param, Run, RunTag

from tuning.tracking.store import search_all_runs

TAG = "chromatune."
FINISHED, FAILED, KILLED, RUNNING = "FINISHED", "FAILED", "KILLED", "RUNNING"
_METRICS_PER_CALL = 1000
# The learning rate is a parameter, times are MLflow's own columns.
_NOT_METRICS = frozenset({"epoch", "lr", "seconds", "timestamp", "milestone"})


@dataclasses.dataclass
class TrackedRun:
    """A run as MLflow holds it, and what this process knows to be in it."""

    run_id: str
    status: str
    tags: dict[str, str]
    params: dict[str, str]
    epochs: set[int] | None = None

    @property
    def is_complete(self) -> bool:
        """Whether everything was delivered: FINISHED is written last."""
        return self.status == FINISHED


class LaunchRuns:
    """The runs of one launch, keyed by cell id; the parent run's key is the empty string.

    Every method may be repeated after a failure: nothing is made or logged twice.
    """

    def __init__(self, client: MlflowClient, experiment_id: str, launch_id: str) -> None:
        self._client = client
        self.experiment_id = experiment_id
        self._launch_id = launch_id
        self._runs: dict[str, TrackedRun] | None = None
        self._extras: list[TrackedRun] = []

    def forget(self) -> None:
        """Ask the store again before the next write: after an error nobody knows what arrived."""
        self._runs = None

    def find(self, key: str) -> TrackedRun | None:
        return self._known().get(key)

    def running(self) -> list[tuple[str, TrackedRun]]:
        """Key and run of everything that has not ended.

        Runs that a key has beside its own are among them, each keyed by its own run id. The store
        is asked anew: the call that made such a run was repeated by the client, which told nobody.
        """
        self.forget()
        keyed = [*self._known().items(), *((run.run_id, run) for run in self._extras)]
        return [(key, run) for key, run in keyed if run.status == RUNNING]

    def open(
        self,
        key: str,
        *,
        name: str,
        params: Mapping[str, str],
        tags: Mapping[str, str],
        started: int,
    ) -> TrackedRun:
        """Find the run of `key`, or make it with all its tags and parameters.

        Tags travel with the creation, so a run can be found again however this process ends.
        """
        run = self.find(key)
        if run is None:
            keyed = {f"{TAG}launch_id": self._launch_id, f"{TAG}outcome": "running", **tags}
            if key:
                keyed[f"{TAG}cell_id"] = key
            created = self._client.create_run(self.experiment_id, started, keyed, run_name=name)
            run = self._known()[key] = _tracked(created)
            run.epochs = set()
        self.write(run, params=params)
        return run

    def write(
        self,
        run: TrackedRun,
        *,
        metrics: Iterable[Metric] = (),
        params: Mapping[str, str] | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> None:
        """Log what is not there yet: parameters are never changed, equal tags not written again."""
        new_params = {key: text for key, text in (params or {}).items() if key not in run.params}
        new_tags = {key: text for key, text in (tags or {}).items() if run.tags.get(key) != text}
        self._client.log_batch(
            run.run_id,
            metrics=list(metrics),
            params=[Param(key, text) for key, text in new_params.items()],
            tags=[RunTag(key, text) for key, text in new_tags.items()],
        )
        run.params |= new_params
        run.tags |= new_tags

    def write_history(self, run: TrackedRun, history: Iterable[Mapping[str, Any]]) -> None:
        """Log the epochs that the run lacks; step = epoch, the time is the record's own.

        A record is never split over two calls: its training loss tells that all of it is there. An
        epoch that was trained again after a crash has another time, and is left out.
        """
        if run.epochs is None:
            logged = self._client.get_metric_history(run.run_id, "train_loss")
            run.epochs = {metric.step for metric in logged}
        batch: list[Metric] = []
        epochs: set[int] = set()
        for record in history:
            if record["epoch"] in run.epochs:
                continue
            metrics = metrics_of(record)
            if len(batch) + len(metrics) > _METRICS_PER_CALL:
                self.write(run, metrics=batch)
                run.epochs |= epochs
                batch, epochs = [], set()
            batch += metrics
            epochs.add(record["epoch"])
        if batch:
            self.write(run, metrics=batch)
            run.epochs |= epochs

    def reopen(self, run: TrackedRun) -> None:
        """Set an ended run to RUNNING: its training has been resumed."""
        if run.status != RUNNING:
            self._client.update_run(run.run_id, status=RUNNING)
            run.status = RUNNING
            self.write(run, tags={f"{TAG}outcome": "running"})
            self._drop_tag(run, f"{TAG}message")

    def end(
        self, run: TrackedRun, status: str, outcome: str, ended: int, message: str = ""
    ) -> None:
        """End a run, its status last; does nothing if it has ended so already."""
        if run.status == status and run.tags.get(f"{TAG}outcome") == outcome:
            return
        tags = {f"{TAG}outcome": outcome}
        if message:
            tags[f"{TAG}message"] = message
        else:
            self._drop_tag(run, f"{TAG}message")
        self.write(run, tags=tags)
        self._client.set_terminated(run.run_id, status, ended)
        run.status = status

    def _drop_tag(self, run: TrackedRun, key: str) -> None:
        if key in run.tags:
            self._client.delete_tag(run.run_id, key)
            del run.tags[key]

    def _known(self) -> dict[str, TrackedRun]:
        if self._runs is None:
            query = f"tags.`{TAG}launch_id` = '{self._launch_id}'"
            found = runs_by_cell(search_all_runs(self._client, [self.experiment_id], query))
            self._extras = [_tracked(run) for _, *extras in found.values() for run in extras]
            self._runs = {key: _tracked(first) for key, (first, *_) in found.items()}
        return self._runs


def runs_by_cell(runs: Iterable[Run]) -> dict[str, list[Run]]:
    """A launch's runs by cell id, the parent's is empty; the first of each is the one that counts.

    There is more than one where the server did act on a call to create a run, and the client
    repeated it, having had no answer. The parameters follow once a run is made, so the extra one
    has none.
    """
    found: dict[str, list[Run]] = {}
    for run in runs:
        found.setdefault(run.data.tags.get(f"{TAG}cell_id", ""), []).append(run)
    for same in found.values():
        same.sort(key=lambda run: (run.info.status != FINISHED, not run.data.params))
    return found


def metrics_of(record: Mapping[str, Any]) -> list[Metric]:
    """The metrics of one epoch record."""
    return [
        Metric(key, float(value), int(record["timestamp"]), int(record["epoch"]))
        for key, value in record.items()
        if key not in _NOT_METRICS and isinstance(value, int | float)
    ]


def _tracked(run: Run) -> TrackedRun:
    return TrackedRun(run.info.run_id, run.info.status, dict(run.data.tags), dict(run.data.params))
