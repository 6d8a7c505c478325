"""A search's trial on Ray Tune: a training whose result is its best state, wherever it is cut."""

from __future__ import annotations

import contextlib
import dataclasses
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from pyarrow.fs import FileSelector
from ray import tune

from tuning.backend.node_checks import check_here
from tuning.backend.trainable import CHECKPOINT_EVERY_S, claim_device, newest_whole, pause_since
from tuning.config.search import MUTABLE
from tuning.errors import ChromatuneError
from tuning.launch.search_cells import write_search_cell
from tuning.launch.storage import LaunchStorage
from tuning.launch.trainings import Cell, Training
from tuning.search.objectives import Objective
from tuning.training.checkpoint import TrainState
from tuning.training.data import TaskData
from tuning.training.loop import Diverged, EpochRecord, EpochResult, fit

OUT_OF_MEMORY = "out_of_memory"


@dataclasses.dataclass(frozen=True)
class SearchInputs:
    """What all trials of a search share; Ray's object store keeps one copy per node.

    `objective` is what a scheduler judges by. Where trials take over each other's states, every
    report brings a checkpoint, and the newest `kept_checkpoints` stay for those who may want them.
    `inventory` is the driver's, which a node of a cluster must share.
    """

    launch_uri: str
    data: TaskData
    objective: Objective
    kept_checkpoints: int = 1
    inventory: Mapping[str, str] = dataclasses.field(default_factory=dict)


def run_search_trial(config: dict[str, Any], inputs: SearchInputs) -> None:
    """Train what is handed out, from the newest checkpoint on that is whole.

    A report follows every validation, and nothing else, so that a scheduler decides by epochs and
    not by the clock. Its `score` is the best value so far of the objective, that of the state which
    is kept, its `value` the newest; the checkpoint that holds the best state is stored before the
    report. So a trial may be stopped at any report, and its cell is cut from the checkpoint. One
    follows about every minute also while nothing better is found, to go on from after a crash. A
    training that diverges, or for which its share of the GPU is too small, says so and ends.
    """
    check_here(LaunchStorage(inputs.launch_uri), inputs.inventory)
    hand_out = config["hand_out"]
    training = _own(Training.from_dict(hand_out["training"]))
    resources = tune.get_context().get_trial_resources().required_resources
    torch.set_num_threads(max(1, int(resources.get("CPU", 1))))
    device = claim_device(resources.get("GPU", 0))
    storage = LaunchStorage(inputs.launch_uri)
    reporter = _Reporter(training, inputs, storage, device)
    try:
        state = _restored(training, hand_out["checkpoints"], storage, device)
        if state is not None:
            reporter.goes_on_from(state)
        for result in fit(training.fit, inputs.data, device=device, state=state):
            reporter.epoch_ended(result)
    except Diverged as error:
        reporter.diverged(error)
    except torch.OutOfMemoryError as error:
        torch.cuda.empty_cache()  # the next trial may run in this very process
        reporter.out_of_memory(str(error).partition(". ")[0])


class _Reporter:
    """Decides what an epoch leaves behind: a report, a checkpoint, the cell."""

    def __init__(
        self, training: Training, inputs: SearchInputs, storage: LaunchStorage, device: str
    ) -> None:
        self._training = training
        self._inputs = inputs
        self._storage = storage
        self._device = device
        self._records: list[EpochRecord] = []
        self._history: list[EpochRecord] = []
        self._score: float | None = None
        self._checkpoint_at = time.monotonic() + CHECKPOINT_EVERY_S

    def goes_on_from(self, state: TrainState) -> None:
        """Know what was reached before: the next validation may never come."""
        self._history = state.history
        if state.best_record is not None:
            self._score = float(state.best_record[self._inputs.objective.name])

    def epoch_ended(self, result: EpochResult) -> None:
        state = result.state
        self._history = state.history
        self._records.append(dict(result.record))
        best = state.best_record
        if best is None or not (result.last or "val_mse" in result.record):
            return
        self._score = float(best[self._inputs.objective.name])
        if result.last:
            self._records[-1]["milestone"] = self._write_cell(state)
            self._report()
        elif (
            state.history[-1] is best
            or self._inputs.kept_checkpoints > 1
            or time.monotonic() >= self._checkpoint_at
        ):
            self._report_with_checkpoint(state)
        else:
            self._report()

    def _report_with_checkpoint(self, state: TrainState) -> None:
        started = time.monotonic()
        with tempfile.TemporaryDirectory() as scratch:
            folder = Path(scratch) / "checkpoint"
            state.save(folder)
            self._report(tune.Checkpoint.from_directory(folder))
        self._checkpoint_at = time.monotonic() + pause_since(started, CHECKPOINT_EVERY_S)

    def diverged(self, error: Diverged) -> None:
        self._storage.write_json(
            f"{self._training.training_id}/failed.json",
            {"outcome": "diverged", "message": str(error), "history": self._history},
        )
        self._report(outcome="diverged", message=str(error))

    def out_of_memory(self, message: str) -> None:
        self._report(outcome=OUT_OF_MEMORY, message=message)

    def _write_cell(self, state: TrainState) -> str:
        return write_search_cell(
            self._storage,
            self._training,
            state,
            outcome="finished",
            history=state.history,
            data=self._inputs.data,
            device=self._device,
        )

    def _report(
        self, checkpoint: tune.Checkpoint | None = None, outcome: str = "running", message: str = ""
    ) -> None:
        report: dict[str, Any] = {"outcome": outcome, "message": message, "records": self._records}
        if self._score is not None:
            newest = self._history[-1]
            report |= {"epoch": newest["epoch"], "score": self._score}
            report["value"] = newest.get(self._inputs.objective.name, self._score)
        tune.report(report, checkpoint=checkpoint)
        if checkpoint is not None:
            _delete_older_checkpoints(self._inputs.kept_checkpoints)
        self._records = []


def _restored(
    training: Training, checkpoints: Sequence[str], storage: LaunchStorage, device: str
) -> TrainState | None:
    """Load the newest checkpoint of the trial that is whole, else of earlier attempts."""
    named = tune.get_checkpoint()
    for checkpoint in [] if named is None else [named, *_newest_first(named)]:
        try:
            with checkpoint.as_directory() as folder:
                return TrainState.load(Path(folder), training.fit, device, MUTABLE)
        except (ChromatuneError, FileNotFoundError):
            continue
    return newest_whole(training.fit, checkpoints, storage, device, MUTABLE)


def _delete_older_checkpoints(kept: int) -> None:
    """Delete all but the newest checkpoints of the running trial.

    Ray could be told to, but then writes down its view of all trials at every single checkpoint.
    One that cannot be deleted now stays: it must not end a training that is well.
    """
    newest = tune.get_checkpoint()
    if newest is None:
        return
    with contextlib.suppress(OSError):
        for older in _newest_first(newest)[kept:]:
            older.filesystem.delete_dir(older.path)


def _newest_first(checkpoint: tune.Checkpoint) -> list[tune.Checkpoint]:
    parent = checkpoint.path.rpartition("/")[0]
    found = checkpoint.filesystem.get_file_info(FileSelector(parent, allow_not_found=True))
    names = sorted(info.base_name for info in found if info.base_name.startswith("checkpoint_"))
    return [tune.Checkpoint(f"{parent}/{name}", checkpoint.filesystem) for name in reversed(names)]


def _own(training: Training) -> Training:
    """The training under its trial's name: one that took over another's state has its settings."""
    name = tune.get_context().get_trial_name()
    if name == training.training_id:
        return training
    return dataclasses.replace(training, training_id=name, cells=(Cell(name, training.epochs),))
