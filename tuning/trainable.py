"""The only adapter of `fit()` to Ray Tune: one trial is one training."""

from __future__ import annotations

import contextlib
import dataclasses
import tempfile
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from pyarrow.fs import FileSelector
from ray import tune

from models import load_model
from tuning.attempts import fetched
from tuning.cells import write_cell
from tuning.checkpoint import TrainState
from tuning.data import TaskData
from tuning.engine import Diverged, EpochRecord, EpochResult, fit
from tuning.errors import ChromatuneError
from tuning.fit_config import FitConfig
from tuning.spaces import Training
from tuning.storage import LaunchStorage

# Between milestones a report is worth its cost about once a second, a checkpoint once a minute.
# Where they take long, for a driver that hears of many trials or a bucket far away, they become
# rarer: a trial waits for them one part of its time in so many.
_REPORT_EVERY_S = 1.0
_CHECKPOINT_EVERY_S = 60.0
_WAITS_ONE_IN = 20


@dataclasses.dataclass(frozen=True)
class TrialInputs:
    """What all trials of a launch share; Ray's object store keeps one copy per node.

    `checkpoints` are paths in the launch folder by training, the newest first: those that earlier
    attempts have left.
    """

    launch_uri: str
    data: TaskData
    checkpoints: Mapping[str, Sequence[str]] = dataclasses.field(default_factory=dict)


def run_trial(config: dict[str, Any], inputs: TrialInputs) -> None:
    """Train `config["training"]`, report its epochs and leave its cells in the launch folder.

    A report carries the newest metrics and, under `records`, every epoch since the last report; a
    cell's files are in the launch folder before the report that names it. A diverged training
    reports so and ends: trying the same numbers again could only diverge again.
    """
    training = Training.from_dict(config["training"])
    resources = tune.get_context().get_trial_resources().required_resources
    torch.set_num_threads(max(1, int(resources.get("CPU", 1))))
    device = claim_device(resources.get("GPU", 0))
    storage = LaunchStorage(inputs.launch_uri)
    reporter = _Reporter(training, inputs, storage, device)
    try:
        for result in fit(
            training.fit,
            inputs.data,
            device=device,
            state=restored_state(
                training.fit, inputs.checkpoints.get(training.training_id, ()), storage, device
            ),
            initial_weights=_initial_weights(training, storage),
        ):
            reporter.epoch_ended(result)
    except Diverged as error:
        reporter.diverged(error)


class _Reporter:
    """Decides when an epoch becomes a report, a checkpoint and a cell."""

    def __init__(
        self, training: Training, inputs: TrialInputs, storage: LaunchStorage, device: str
    ) -> None:
        self._training = training
        self._inputs = inputs
        self._storage = storage
        self._device = device
        self._records: list[EpochRecord] = []
        self._history: list[EpochRecord] = []
        self._report_pause = _REPORT_EVERY_S
        self._report_at = time.monotonic() + self._report_pause
        self._checkpoint_at = time.monotonic() + _CHECKPOINT_EVERY_S

    def epoch_ended(self, result: EpochResult) -> None:
        self._history = result.state.history
        record = dict(result.record)
        if result.milestone:
            record["milestone"] = self._write_cell(result)
        self._records.append(record)
        started = time.monotonic()
        if result.milestone or started >= self._checkpoint_at:
            with tempfile.TemporaryDirectory() as scratch:
                folder = Path(scratch) / "checkpoint"
                result.state.save(folder, final=result.last)
                self._report(tune.Checkpoint.from_directory(folder))
            self._checkpoint_at = time.monotonic() + _pause_since(started, _CHECKPOINT_EVERY_S)
        elif started >= self._report_at:
            self._report()
            self._report_pause = _pause_since(started, _REPORT_EVERY_S)
        else:
            return
        self._report_at = time.monotonic() + self._report_pause

    def diverged(self, error: Diverged) -> None:
        self._storage.write_json(
            f"{self._training.training_id}/failed.json",
            {"outcome": "diverged", "message": str(error), "history": self._history},
        )
        self._report(outcome="diverged", message=str(error))

    def _write_cell(self, result: EpochResult) -> str:
        cell = self._training.cell_at(result.record["epoch"])
        model, record = result.state.kept()
        target = f"{self._training.training_id}/cells/{cell.cell_id}"
        if self._storage.exists(f"{target}/cell.json"):
            return cell.cell_id  # trained again after a crash: MLflow may hold the first already
        with tempfile.TemporaryDirectory() as scratch:
            folder = Path(scratch) / "cell"
            write_cell(
                folder,
                cell_id=cell.cell_id,
                training_id=self._training.training_id,
                config=self._training.fit,
                history=result.state.history,
                metrics=record,
                model=model,
                data=self._inputs.data,
                device=self._device,
            )
            self._storage.upload_dir(folder, target, last="cell.json")
        return cell.cell_id

    def _report(
        self, checkpoint: tune.Checkpoint | None = None, outcome: str = "running", message: str = ""
    ) -> None:
        newest: dict[str, Any] = {}
        for record in self._records:
            newest.update(record)
        newest.pop("milestone", None)
        report = {**newest, "outcome": outcome, "message": message, "records": self._records}
        tune.report(report, checkpoint=checkpoint)
        if checkpoint is not None:
            delete_older_checkpoints()
        self._records = []


def _pause_since(started: float, at_least_s: float) -> float:
    """How long to leave alone what was begun at `started` and has ended now."""
    return max(at_least_s, _WAITS_ONE_IN * (time.monotonic() - started))


def claim_device(gpus: float) -> str:
    """Pick the device and keep to the trial's share of its memory."""
    if gpus <= 0 or not torch.cuda.is_available():
        return "cpu"
    if gpus < 1:
        # Ray's fraction only counts trials: without this one of them could take all the memory.
        torch.cuda.set_per_process_memory_fraction(gpus)
    # The report trained in float32; torch would let cuDNN round convolutions to TF32.
    torch.backends.cudnn.allow_tf32 = False
    return "cuda"


def restored_state(
    config: FitConfig,
    checkpoints: Iterable[str],
    storage: LaunchStorage,
    device: str,
    may_differ: tuple[str, ...] = (),
) -> TrainState | None:
    """Load the newest checkpoint of the trial that is whole, else of earlier attempts."""
    for checkpoint in _newest_of_trial():
        try:
            with checkpoint.as_directory() as folder:
                return TrainState.load(Path(folder), config, device, may_differ)
        except (ChromatuneError, FileNotFoundError):
            continue
    for path in checkpoints:
        try:
            with fetched(storage, path) as folder:
                return TrainState.load(folder, config, device, may_differ)
        except ChromatuneError:
            continue
    return None


def delete_older_checkpoints(kept: int = 1) -> None:
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


def _newest_of_trial() -> list[tune.Checkpoint]:
    """The checkpoint that Ray names, then all of the trial, the newest first; none at a start."""
    named = tune.get_checkpoint()
    return [] if named is None else [named, *_newest_first(named)]


def _newest_first(checkpoint: tune.Checkpoint) -> list[tune.Checkpoint]:
    parent = checkpoint.path.rpartition("/")[0]
    found = checkpoint.filesystem.get_file_info(FileSelector(parent, allow_not_found=True))
    names = sorted(info.base_name for info in found if info.base_name.startswith("checkpoint_"))
    return [tune.Checkpoint(f"{parent}/{name}", checkpoint.filesystem) for name in reversed(names)]


def _initial_weights(training: Training, storage: LaunchStorage) -> dict[str, torch.Tensor] | None:
    if training.initial_weights is None:
        return None
    with tempfile.TemporaryDirectory() as scratch:
        path = storage.download(training.initial_weights, Path(scratch) / "weights")
        return load_model(path).state_dict()
