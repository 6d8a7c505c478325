"""One trial: a training, and what it leaves in the launch folder, whichever backend runs it."""

from __future__ import annotations

import contextlib
import dataclasses
import socket
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import torch

from models import UserCode, fault_of
from models.weights import read_tensors
from tuning.errors import ChromatuneError
from tuning.launch.attempts import BEGUN, attempt_folder, checkpoints_in
from tuning.launch.checkpoint_choice import Assignment, newest_state
from tuning.launch.outcomes import is_finished
from tuning.launch.records import FailureRecord, read_failure, write_failure
from tuning.launch.storage import LaunchStorage
from tuning.launch.trainings import Training
from tuning.launch.trial_log import TrialLog, log_path
from tuning.launch.write_cell import write_cell
from tuning.training.checkpoint import EpochRecord, TrainState
from tuning.training.checkpoint_files import STATE_FILE
from tuning.training.data import TaskData
from tuning.training.loop import Diverged, EpochResult, fit

# Between validations a report is worth its cost about once a second, a checkpoint once a minute.
# Where they take long, for a driver that hears of many trials or a bucket far away, they become
# rarer: a trial waits for them one part of its time in so many.
_REPORT_EVERY_S = 1.0
_CHECKPOINT_EVERY_S = 60.0
_WAITS_ONE_IN = 20

Report = Mapping[str, Any]


@dataclasses.dataclass(frozen=True)
class TrialInputs:
    """What all trials of a launch share.

    With `objective`, the name of a metric, trials are judged on the way: each validation is
    reported with the best value so far, after the checkpoint that holds its weights. `code` are
    the user's files that register what is trained and measured.
    """

    launch_uri: str
    data: TaskData
    objective: str | None = None
    code: tuple[UserCode, ...] = ()


def run_trial(
    assignment: Assignment, inputs: TrialInputs, device: str, report: Callable[[Report], None]
) -> None:
    """Train what is assigned, from its newest whole checkpoint, and leave its cells in the folder.

    `report` is called with `training_id`, `outcome` (`running`, `finished` or `diverged`),
    `message`, `records` (every epoch since the last report; one with `milestone` names a cell whose
    files are complete) and, where the training was validated and is judged, `epoch` and `score`.
    It may raise SystemExit to stop the trial, whose last epoch is then saved. A diverged training
    reports so and ends: the same numbers could only diverge again. What it prints or raises is
    kept in a log.
    """
    storage = LaunchStorage(inputs.launch_uri)
    log = TrialLog(storage, log_path(assignment.training_id, assignment.attempt))

    def send(report_: Report) -> None:
        # A cell's run in MLflow gets the log with it.
        log.save(if_due=not any("milestone" in record for record in report_["records"]))
        with log.paused():
            report(report_)

    with log.captured():
        _run_trial(_Trial(storage, assignment, inputs, device, send), assignment, inputs)


def _run_trial(trial: _Trial, assignment: Assignment, inputs: TrialInputs) -> None:
    failure = read_failure(trial.storage, assignment.training_id)
    if failure is not None:  # the attempt before this one died before it could report it
        trial.report(failure.outcome, failure.message)
        return
    if is_finished(trial.storage, assignment.training):  # likewise
        trial.report("finished")
        return
    try:
        for result in trial.epochs():
            trial.epoch_ended(result)
    except Diverged as error:
        trial.diverged(error)
    except Exception as error:
        if (fault := fault_of(error)) is not None:
            raise ChromatuneError(fault) from error
        raise
    else:
        trial.report("finished", is_judged=inputs.objective is not None)


class _Trial:
    """Decides when an epoch becomes a report, a checkpoint, a cell."""

    def __init__(
        self,
        storage: LaunchStorage,
        assignment: Assignment,
        inputs: TrialInputs,
        device: str,
        report: Callable[[Report], None],
    ) -> None:
        self.storage = storage
        self._assignment = assignment
        self._training = assignment.training
        self._inputs = inputs
        self._device = device
        self._send = report
        self._folder = attempt_folder(assignment.training_id, assignment.attempt)
        self._records: list[EpochRecord] = []
        self._state: TrainState | None = None
        self._saved_epoch = 0
        self._report_pause = _REPORT_EVERY_S
        self._report_at = time.monotonic() + self._report_pause
        self._checkpoint_at = time.monotonic() + _CHECKPOINT_EVERY_S

    def epochs(self) -> Iterable[EpochResult]:
        # Whoever makes the next attempt sees that this one has begun.
        self.storage.write_json(f"{self._folder}/{BEGUN}", {"hostname": socket.gethostname()})
        own = checkpoints_in(self.storage, self._folder)
        checkpoints = [*own, *self._assignment.checkpoints]
        state = newest_state(self.storage, checkpoints, self._training.fit, self._device)
        self._state = state
        results = fit(
            self._training.fit,
            self._inputs.data,
            device=self._device,
            state=state,
            initial_weights=_initial_weights(self._training, self.storage),
        )
        if state is not None:
            self._saved_epoch = state.epoch
            # The last attempt may have died before this was reported, or before it was stopped.
            if self._is_judged(state):
                self.report("running", is_judged=True)
        return results

    def epoch_ended(self, result: EpochResult) -> None:
        state = self._state = result.state
        record = dict(result.record)
        self._records.append(record)
        if result.milestone:
            record["milestone"] = write_cell(
                self.storage, self._training, state, self._inputs.data, device=self._device
            )
        is_judged = self._is_judged(state)
        is_best = is_judged and state.best_record is state.history[-1]
        now = time.monotonic()
        if result.milestone or is_best or now >= self._checkpoint_at:
            self._save(final=result.last)
            self._checkpoint_at = time.monotonic() + _pause(now, _CHECKPOINT_EVERY_S)
        # The end of the last epoch is that of the training, which is reported next.
        if not result.last and (result.milestone or is_judged or now >= self._report_at):
            self.report("running", is_judged=is_judged)

    def diverged(self, error: Diverged) -> None:
        history = [] if self._state is None else self._state.history
        self._state = None  # nothing of it is worth a checkpoint
        failure = FailureRecord(outcome="diverged", message=str(error), history=list(history))
        write_failure(self.storage, self._training.training_id, failure)
        self.report("diverged", str(error))

    def report(self, outcome: str, message: str = "", *, is_judged: bool = False) -> None:
        report: dict[str, Any] = {
            "training_id": self._training.training_id,
            "outcome": outcome,
            "message": message,
            "records": self._records,
        }
        best = self._state.best_record if self._state is not None and is_judged else None
        if best is not None and self._state is not None:
            report["epoch"] = self._state.epoch
            report["score"] = float(best[str(self._inputs.objective)])
        self._records = []
        started = time.monotonic()
        try:
            self._send(report)
        except SystemExit:
            # The driver may be reading the checkpoint before this one.
            self._save(keep_older=True)
            raise
        self._report_pause = _pause(started, _REPORT_EVERY_S)
        self._report_at = time.monotonic() + self._report_pause

    def _is_judged(self, state: TrainState) -> bool:
        """Whether the last epoch of a state is reported with a score."""
        is_validated = bool(state.history) and "val_mse" in state.history[-1]
        return is_validated and self._inputs.objective is not None

    def _save(self, *, final: bool = False, keep_older: bool = False) -> None:
        """Write a checkpoint of the newest epoch, without weights once the training has ended."""
        state = self._state
        if state is None or state.epoch == self._saved_epoch:
            return
        name = f"checkpoint_{state.epoch:06}"
        with tempfile.TemporaryDirectory() as scratch:
            folder = Path(scratch) / name
            state.save(folder, final=final)
            self.storage.upload_dir(folder, f"{self._folder}/{name}", last=STATE_FILE)
        self._saved_epoch = state.epoch
        if keep_older:
            return
        # One that cannot be deleted now stays: it must not end a training that is well.
        with contextlib.suppress(OSError):
            for other in self.storage.list_dir(self._folder):
                if other.startswith("checkpoint_") and other < name:
                    self.storage.delete(f"{self._folder}/{other}")


def claim_device(gpus: float) -> str:
    """Return the device of a trial, which is kept to its share of the GPU's memory."""
    if gpus <= 0 or not torch.cuda.is_available():
        return "cpu"
    if gpus < 1:
        # Ray's fraction only counts trials: without this one of them could take all the memory.
        torch.cuda.set_per_process_memory_fraction(gpus)
    # The published models were trained in float32; torch would round convolutions to TF32.
    torch.backends.cudnn.allow_tf32 = False
    return "cuda"


def _pause(started: float, at_least_s: float) -> float:
    """How long to leave alone what was begun at `started` and has ended now."""
    return max(at_least_s, _WAITS_ONE_IN * (time.monotonic() - started))


def _initial_weights(training: Training, storage: LaunchStorage) -> dict[str, torch.Tensor] | None:
    if training.initial_weights is None:
        return None
    with tempfile.TemporaryDirectory() as scratch:
        path = storage.download(training.initial_weights, Path(scratch) / "weights")
        tensors, _ = read_tensors(path)
        return tensors
