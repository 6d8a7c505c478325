"""The MLflow runs of one launch: found by tag or created, written in batches, ended once."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from mlflow import MlflowClient
from mlflow.entities import Dataset, DatasetInput, InputTag, Metric, Param, Run, RunTag

from tuning.launch.records import CellRecord
from tuning.tracking.store import search_all_runs
from tuning.utils.redaction import redact

TAG = "chromatune."
FINISHED, FAILED, KILLED, RUNNING = "FINISHED", "FAILED", "KILLED", "RUNNING"
_METRICS_PER_CALL = 1000
# MLflow keeps no longer digests; the whole one is a tag of the run.
_DIGEST_LENGTH = 36
# The learning rate is a parameter, times are MLflow's own columns.
_NOT_METRICS = frozenset({"epoch", "lr", "seconds", "timestamp", "milestone"})


@dataclasses.dataclass
class TrackedRun:
    """A run in MLflow, with what this process knows of it; `epochs` are those already logged.

    It `is_new` if this process has created it; parameters that are `unwritten` go with the next
    write.
    """

    run_id: str
    status: str
    tags: dict[str, str]
    params: dict[str, str]
    epochs: set[int] | None = None
    is_new: bool = False
    unwritten: dict[str, str] = dataclasses.field(default_factory=dict)

    @property
    def is_complete(self) -> bool:
        """Whether everything was written: FINISHED is written last."""
        return self.status == FINISHED


class LaunchRuns:
    """The runs of one launch, keyed by cell id; the parent run's key is the empty string.

    Every method may be repeated after a failure: nothing is created or logged twice.
    """

    def __init__(self, client: MlflowClient, experiment_id: str, launch_id: str) -> None:
        self._client = client
        self.experiment_id = experiment_id
        self._launch_id = launch_id
        self._runs: dict[str, TrackedRun] | None = None
        self._extras: list[TrackedRun] = []

    def forget(self) -> None:
        """Query the store again before the next write: an error leaves unknown what arrived."""
        self._runs = None

    def find(self, key: str) -> TrackedRun | None:
        return self._known().get(key)

    def running(self) -> list[tuple[str, TrackedRun]]:
        """Key and run of everything that has not ended, from a new query.

        A call that creates a run may have been repeated by the client without notice: the
        additional runs are included, each keyed by its own run id.
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
        """Find the run of `key`, or create it with its tags and parameters.

        The tags are part of the creation, so a run is found again however this process ends.
        """
        run = self.find(key)
        if run is None:
            keyed = {f"{TAG}launch_id": self._launch_id, f"{TAG}outcome": "running", **tags}
            if key:
                keyed[f"{TAG}cell_id"] = key
            created = self._client.create_run(self.experiment_id, started, keyed, run_name=name)
            run = self._known()[key] = _tracked(created)
            run.epochs, run.is_new = set(), True
        run.unwritten = dict(params)
        return run

    def write(
        self,
        run: TrackedRun,
        *,
        metrics: Iterable[Metric] = (),
        params: Mapping[str, str] | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> None:
        """Log metrics, new parameters and changed tags in one call."""
        given = {**run.unwritten, **(params or {})}
        new_params = {key: text for key, text in given.items() if key not in run.params}
        new_tags = {key: text for key, text in (tags or {}).items() if run.tags.get(key) != text}
        batch = {
            "metrics": list(metrics),
            "params": [Param(key, text) for key, text in new_params.items()],
            "tags": [RunTag(key, text) for key, text in new_tags.items()],
        }
        if any(batch.values()):
            self._client.log_batch(run.run_id, **batch)
        run.params |= new_params
        run.tags |= new_tags
        run.unwritten = {}

    def write_history(
        self,
        run: TrackedRun,
        history: Iterable[Mapping[str, Any]],
        *,
        metrics: Sequence[Metric] = (),
        params: Mapping[str, str] | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> None:
        """Log the epochs that the run lacks; step = epoch, the time is the record's own.

        The rest goes with the last of them. A record is never split over two calls: an epoch with
        a training loss is complete. An epoch that was trained again after a crash has another time,
        and is left out.
        """
        if run.epochs is None:
            logged = self._client.get_metric_history(run.run_id, "train_loss")
            run.epochs = {metric.step for metric in logged}
        batch: list[Metric] = []
        epochs: set[int] = set()
        for record in history:
            if record["epoch"] in run.epochs:
                continue
            own = _metrics_of(record)
            if len(batch) + len(own) + len(metrics) > _METRICS_PER_CALL:
                self.write(run, metrics=batch)
                run.epochs |= epochs
                batch, epochs = [], set()
            batch += own
            epochs.add(record["epoch"])
        self.write(run, metrics=[*batch, *metrics], params=params, tags=tags)
        run.epochs |= epochs

    def reopen(self, run: TrackedRun) -> None:
        """Set an ended run to RUNNING: its training was resumed."""
        if run.status != RUNNING:
            self._client.update_run(run.run_id, status=RUNNING)
            run.status = RUNNING
            self.write(run, tags={f"{TAG}outcome": "running"})
            self._drop_tag(run, f"{TAG}message")

    def end(
        self, run: TrackedRun, status: str, outcome: str, ended: int, message: str = ""
    ) -> None:
        """End a run, its status last; does nothing if it already has this status and outcome."""
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
    """A launch's runs by cell id, the parent's is empty; the first run of each is the one in use.

    There are several where a server created a run but its answer was lost, and the client repeated
    the call. Parameters are written after the creation, so the additional run has none.
    """
    found: dict[str, list[Run]] = {}
    for run in runs:
        found.setdefault(run.data.tags.get(f"{TAG}cell_id", ""), []).append(run)
    for same in found.values():
        same.sort(key=lambda run: (run.info.status != FINISHED, not run.data.params))
    return found


def _metrics_of(record: Mapping[str, Any]) -> list[Metric]:
    return [
        Metric(key, float(value), int(record["timestamp"]), int(record["epoch"]))
        for key, value in record.items()
        if key not in _NOT_METRICS and isinstance(value, int | float)
    ]


def with_closing(
    cell: CellRecord, run_id: str, model_id: str | None
) -> tuple[list[Mapping[str, Any]], list[Metric]]:
    """A cell's epochs, and what is logged with the last of them; logged again, it adds nothing.

    The figures of the state that was kept become the run's last ones, and those of its model.
    """
    history: list[Mapping[str, Any]] = list(cell.history)
    # MLflow draws what has no other step than 0 as bars.
    closing = [Metric("train_seconds", cell.seconds, cell.ended, 0)]
    at = cell.ended
    if cell.kept_epoch in (None, cell.last_epoch):
        history[-1] = {k: v for k, v in history[-1].items() if k not in cell.metrics}
    else:
        at += 1  # of two values of a step, the later one is the run's
    for name, value in cell.metrics.items():
        model = model_id if name.startswith("val_") else None
        closing.append(Metric(name, value, at, cell.last_epoch, model_id=model, run_id=run_id))
    return history, closing


def log_dataset(client: MlflowClient, run_id: str, launch: Mapping[str, Any]) -> None:
    """Log the dataset of a launch as the run's input; called again, it adds nothing."""
    manifest = launch.get("dataset_manifest") or {}
    source = manifest.get("source") or {}
    origin = redact(str(source.get("location") or launch["dataset"]))
    is_url = source.get("kind") == "download"
    dataset = Dataset(
        name=str(launch["dataset"]),
        digest=str(launch["dataset_digest"])[:_DIGEST_LENGTH],
        source_type="http" if is_url else "local",
        source=json.dumps({"url" if is_url else "uri": origin}),
        profile=json.dumps(manifest, sort_keys=True),
    )
    client.log_inputs(run_id, [DatasetInput(dataset, [InputTag("mlflow.data.context", "train")])])


def _tracked(run: Run) -> TrackedRun:
    return TrackedRun(run.info.run_id, run.info.status, dict(run.data.tags), dict(run.data.params))
