"""Writes a launch to MLflow: the runs of its cells, from its folder and its live trainings."""

from __future__ import annotations

import dataclasses
import tempfile
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from mlflow.entities import LoggedModel

from tuning.errors import ChromatuneError
from tuning.launch.attempts import ERROR, last_error
from tuning.launch.records import CellRecord, read_cell
from tuning.tracking.expected_runs import LaunchPlan, PlannedCell
from tuning.tracking.fetch_weights import WEIGHTS
from tuning.tracking.logged_model import open_cell_model, store_files
from tuning.tracking.output import log_output
from tuning.tracking.parent_run import ParentRun
from tuning.tracking.run_tags import origin_tags
from tuning.tracking.runs import (
    FAILED,
    FINISHED,
    KILLED,
    TAG,
    LaunchRuns,
    TrackedRun,
    log_dataset,
    with_closing,
)
from tuning.tracking.store import make_client, open_experiment
from tuning.tracking.ui.images import IMAGES_TAG, add_to_image_grid
from tuning.tracking.ui.notes import NOTE, cell_note, failure_note
from tuning.tracking.ui.pages import set_up_experiment
from tuning.utils.redaction import redact

_FAILURES = ("diverged", "failed")
# Status of a run whose training ended without a cell; others can be resumed.
_ENDED_AS = {"diverged": FAILED, "failed": FAILED, "pruned": FINISHED}


@dataclasses.dataclass
class _Progress:
    """What is known of one training; `changed` until all of it is in MLflow.

    `fault` tells why its folder could not be read.
    """

    cells: tuple[PlannedCell, ...]
    history: dict[int, Mapping[str, Any]] = dataclasses.field(default_factory=dict)
    in_folder: set[str] = dataclasses.field(default_factory=set)
    outcome: str = ""
    message: str = ""
    fault: str = ""
    changed: bool = False

    def take_in(self, records: Iterable[Mapping[str, Any]]) -> None:
        """Add epochs; of a known epoch the first record stays."""
        for record in records:
            self.history.setdefault(int(record["epoch"]), record)

    @property
    def current(self) -> PlannedCell | None:
        """The cell that is being trained: the first that is not finished."""
        return next((cell for cell in self.cells if cell.cell_id not in self.in_folder), None)

    @property
    def has_started_current(self) -> bool:
        """Whether an epoch beyond the last finished cell is known."""
        done = [cell.epochs for cell in self.cells if cell.cell_id in self.in_folder]
        return max(self.history, default=0) > max(done, default=0)


class Projector:
    """Writes one launch to MLflow. Not for several threads at once.

    `observe`, `training_ended` and `read_folder` add to what is known; `deliver` writes what MLflow
    lacks. After an error, deliver again: what has arrived is found, the rest is written.
    """

    def __init__(self, plan: LaunchPlan, tracking_uri: str) -> None:
        self._plan = plan
        self._client = make_client(tracking_uri)
        self._trainings = {name: _Progress(cells) for name, cells in plan.trainings.items()}
        self._delivered: dict[str, CellRecord] = {}
        tags = {f"{TAG}{key}": plan.document[key] for key in ("kind", "task", "dataset")}
        experiment_id = open_experiment(
            self._client, tracking_uri, plan.document["experiment"], tags
        )
        set_up_experiment(self._client, experiment_id, tags, searched=plan.searched)
        own = {str(key): str(text) for key, text in (plan.document.get("tags") or {}).items()}
        self._tags = tags | own | origin_tags(plan.document)
        self._runs = LaunchRuns(self._client, experiment_id, plan.launch_id)
        self.parent = ParentRun(plan, self._client, self._runs, self._tags, self._delivered)

    @property
    def pending(self) -> list[str]:
        """Ids of the trainings with something that MLflow lacks."""
        return [name for name, progress in self._trainings.items() if progress.changed]

    @property
    def undelivered_cells(self) -> list[str]:
        """Ids of finished cells that are not in MLflow as a whole."""
        return [
            cell.cell_id
            for progress in self._trainings.values()
            for cell in progress.cells
            if cell.cell_id in progress.in_folder and cell.cell_id not in self._delivered
        ]

    def read_folder(self) -> None:
        """Add everything that the launch folder holds; `deliver` reports what is damaged in it."""
        self._refresh()
        for training_id, progress in self._trainings.items():
            try:
                self._read_training(training_id, progress)
            except ChromatuneError as error:
                progress.fault = str(error)
            if progress.in_folder or progress.outcome or progress.fault:
                progress.changed = True

    def observe(self, training_id: str, records: Sequence[Mapping[str, Any]]) -> None:
        """Add live epoch records; one with `milestone` names a cell that is in the folder."""
        progress = self._progress(training_id)
        progress.outcome, progress.message, progress.changed = "", "", True
        progress.take_in(records)
        progress.in_folder |= {str(r["milestone"]) for r in records if "milestone" in r}
        current = progress.current
        if current is not None and max(progress.history, default=0) > current.epochs:
            # The trial that cut this cell was killed before it could report it.
            progress.in_folder |= self._plan.ended_cells(training_id)

    def training_ended(self, training_id: str, outcome: str, message: str) -> None:
        """Add that a training has ended: finished, pruned, diverged, failed or stopped."""
        progress = self._progress(training_id)
        progress.outcome, progress.message, progress.changed = outcome, message, True
        if outcome == "pruned" or (outcome == "finished" and progress.current is not None):
            # No report names these cells: a pruned trial's is cut when it has ended, and a finished
            # one's report may have been lost with its trial.
            progress.in_folder |= self._plan.ended_cells(training_id)

    def deliver(self, training_id: str) -> None:
        """Write what MLflow lacks of one training: its finished cells, then the one in training."""
        progress = self._trainings[training_id]
        for cell in progress.cells:
            if cell.cell_id in progress.in_folder and cell.cell_id not in self._delivered:
                self._delivered[cell.cell_id] = self._deliver_finished(progress, cell)
        current = progress.current
        if current is not None and progress.outcome:
            self._deliver_ended(progress, current)
        elif current is not None and progress.has_started_current:
            run = self._open_run(current, _started(progress.history))
            self._runs.reopen(run)
            if NOTE in run.tags:  # that of a failure
                self._runs.write(run, tags={NOTE: ""})
            self._runs.write_history(run, progress.history.values())
        if current is None and progress.history:
            last = max(progress.history)  # all of it is in the cells
            progress.history = {last: progress.history[last]}
        progress.changed = False
        if progress.fault:
            fault, progress.fault = progress.fault, ""
            raise ChromatuneError(fault)

    def set_aside(self, training_id: str) -> None:
        """Skip a training that cannot be written until something new is known of it."""
        self._trainings[training_id].changed = False

    def finish(self, status: str | None) -> None:
        """End every run: cells that are still RUNNING as stopped, the parent last.

        Without `status`, a parent that is FINISHED stays so, and others' follows from the cells.
        """
        for key, run in self._runs.running():
            if key:
                self._runs.end(run, KILLED, "stopped", _now())
        ended = _now() if status else None
        if status is None:
            status = FINISHED if self.parent.open().is_complete else self._status()
        self.parent.finish(status, ended)

    def forget(self) -> None:
        """Query MLflow again: after an error it is unknown what has arrived."""
        self._runs.forget()

    def _progress(self, training_id: str) -> _Progress:
        if training_id not in self._trainings:
            self._refresh()
        if training_id not in self._trainings:
            raise ChromatuneError(
                f"launch {self._plan.launch_id} has no training '{training_id}' in its folder"
            )
        return self._trainings[training_id]

    def _read_training(self, training_id: str, progress: _Progress) -> None:
        progress.in_folder |= self._plan.ended_cells(training_id)
        if failure := self._plan.failure(training_id):
            progress.outcome, progress.message = failure.outcome, failure.message
            progress.take_in(failure.history)
        elif stopped := self._plan.stopped_cell(training_id):
            progress.outcome = "stopped"
            progress.take_in(stopped.history)

    def _refresh(self) -> None:
        self._plan.refresh()
        for training_id, cells in self._plan.trainings.items():
            self._trainings.setdefault(training_id, _Progress(cells))

    def _deliver_finished(self, progress: _Progress, plan: PlannedCell) -> CellRecord:
        cell = read_cell(self._plan.storage, plan.training_id, plan.cell_id)
        if cell is None:
            raise ChromatuneError(f"{self._plan.storage.uri}/{plan.folder} has no cell.json")
        progress.take_in(cell.history)
        run = self._open_run(plan, cell.started)
        if not run.is_complete:
            has_sheet = self._plan.storage.exists(f"{plan.folder}/sheet.png")
            tags = {
                f"{TAG}device": cell.device,
                f"{TAG}hostname": cell.hostname,
                f"{TAG}outcome": cell.outcome,
                NOTE: cell_note(self._plan, plan, cell, sheet_of=run.run_id if has_sheet else None),
            }
            if has_sheet:
                tags[IMAGES_TAG] = "True"
            model = self._open_model(run, plan, cell) if cell.weights_kept else None
            history, closing = with_closing(cell, run.run_id, model and model.model_id)
            params = {"parameters": str(cell.parameters)}
            self._runs.write_history(run, history, metrics=closing, params=params, tags=tags)
            log_dataset(self._client, run.run_id, self._plan.document)
            if has_sheet:
                self._store_sheet(run, plan, cell)
            if model is not None:
                self._store_model(model, run, plan)
            log_output(self._client, run.run_id, self._plan.storage, plan.training_id)
            self._runs.end(run, FINISHED, cell.outcome, cell.ended)
        return cell.model_copy(update={"history": cell.history[-1:]})

    def _store_sheet(self, run: TrackedRun, plan: PlannedCell, cell: CellRecord) -> None:
        with tempfile.TemporaryDirectory() as scratch:
            # Not in a folder: MLflow's page of comparison shows only files that lie in none.
            sheet = Path(scratch) / "sheet.png"
            self._plan.storage.download(f"{plan.folder}/sheet.png", sheet)
            add_to_image_grid(sheet, run.run_id, cell.ended)
            self._client.log_artifacts(run.run_id, scratch)

    def _open_model(self, run: TrackedRun, plan: PlannedCell, cell: CellRecord) -> LoggedModel:
        return open_cell_model(
            self._client,
            experiment_id=self._runs.experiment_id,
            run_id=run.run_id,
            task=self._plan.task,
            name=plan.cell_id.replace(".", "_"),  # MLflow rejects dots
            step=cell.last_epoch,
            params=plan.params,
            tags={f"{TAG}cell_id": plan.cell_id, **self._tags},
            is_new=run.is_new,
        )

    def _store_model(self, model: LoggedModel, run: TrackedRun, plan: PlannedCell) -> None:
        with tempfile.TemporaryDirectory() as scratch:
            weights = self._plan.storage.download(
                f"{plan.folder}/{WEIGHTS}", Path(scratch) / WEIGHTS
            )
            store_files(self._client, model, run.run_id, self._plan.task, weights)

    def _deliver_ended(self, progress: _Progress, cell: PlannedCell) -> None:
        failed = progress.outcome in _FAILURES
        run = self._runs.find(cell.cell_id)
        if run is None and not failed and not progress.has_started_current:
            return
        run = self._open_run(cell, _started(progress.history))
        self._runs.write_history(run, progress.history.values())
        last = max(progress.history, default=0)
        ended = int(progress.history[last]["timestamp"]) if last else _now()
        status = _ENDED_AS.get(progress.outcome, KILLED)
        outcome = progress.outcome if progress.outcome in _ENDED_AS else "stopped"
        message = redact(progress.message) if failed else ""
        if run.status != status:
            log_output(self._client, run.run_id, self._plan.storage, cell.training_id)
            if failed:
                self._explain(run, cell, outcome, message)
        self._runs.end(run, status, outcome, ended, message)

    def _explain(self, run: TrackedRun, cell: PlannedCell, outcome: str, message: str) -> None:
        """Describe a failure, and log its traceback as an artifact."""
        storage = self._plan.storage
        log = last_error(storage, cell.training_id) if outcome == "failed" else ""
        if log:
            self._client.log_text(run.run_id, redact(storage.read_text(log)), ERROR)
        self._runs.write(run, tags={NOTE: failure_note(outcome, message, log and ERROR)})

    def _open_run(self, cell: PlannedCell, started: int) -> TrackedRun:
        tags = {
            **self._tags,
            f"{TAG}training_id": cell.training_id,
            "mlflow.parentRunId": self.parent.open().run_id,
        }
        if cell.published_epochs is not None:
            tags[f"{TAG}published_epochs"] = str(cell.published_epochs)
        if cell.parent_model is not None:
            tags[f"{TAG}parent_model"] = cell.parent_model
        return self._runs.open(
            cell.cell_id, name=cell.name, params=cell.params, tags=tags, started=started
        )

    def _status(self) -> str:
        outcomes = {self._outcome(progress) for progress in self._trainings.values()}
        if "stopped" in outcomes:
            return KILLED
        if self._plan.search:  # it is finished when it has a result
            return FINISHED if self._delivered else FAILED
        return FAILED if outcomes.intersection(_FAILURES) else FINISHED

    def _outcome(self, progress: _Progress) -> str:
        """How a training ended; of a failure that is not in its folder, its run's outcome."""
        if progress.current is None or progress.outcome == "pruned":
            return "finished"
        run = self._runs.find(progress.current.cell_id)
        outcome = progress.outcome or (run.tags.get(f"{TAG}outcome", "") if run else "")
        return outcome if outcome in _FAILURES else "stopped"


def _started(history: Mapping[int, Mapping[str, Any]]) -> int:
    if not history:
        return _now()
    first = history[min(history)]
    return int(first["timestamp"] - 1000 * first.get("seconds", 0))


def _now() -> int:
    return round(time.time() * 1000)
