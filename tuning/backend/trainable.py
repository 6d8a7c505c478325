"""The only adapter of `fit()` to Ray Tune: a trial is one training, or a pack of several."""

from __future__ import annotations

import contextlib
import dataclasses
import socket
import tempfile
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from ray import tune

from models import load_model
from tuning.backend.node_checks import check_here
from tuning.errors import ChromatuneError
from tuning.launch.attempts import Attempt, attempt_folder, checkpoints_in, fetched
from tuning.launch.cells import write_cell
from tuning.launch.storage import LaunchStorage
from tuning.launch.trainings import Training
from tuning.training.checkpoint import TrainState
from tuning.training.checkpoint_files import STATE_FILE
from tuning.training.config import FitConfig
from tuning.training.data import TaskData
from tuning.training.interleave import Turns, train_together
from tuning.training.loop import Diverged, EpochRecord, EpochResult, fit_in_turns

# Between milestones a report is worth its cost about once a second, a checkpoint once a minute.
# Where they take long, for a driver that hears of many trials or a bucket far away, they become
# rarer: a trial waits for them one part of its time in so many.
_REPORT_EVERY_S = 1.0
CHECKPOINT_EVERY_S = 60.0
_WAITS_ONE_IN = 20


@dataclasses.dataclass(frozen=True)
class TrialInputs:
    """What all trials of a launch share; Ray's object store keeps one copy per node.

    `attempts` are those that this launch makes now, by training; `inventory` is the driver's, which
    a node of a cluster must share.
    """

    launch_uri: str
    data: TaskData
    attempts: Mapping[str, Attempt] = dataclasses.field(default_factory=dict)
    inventory: Mapping[str, str] = dataclasses.field(default_factory=dict)


def run_trial(config: dict[str, Any], inputs: TrialInputs) -> None:
    """Train `config["trainings"]`, report their epochs and leave their cells in the launch folder.

    A report carries, by training under `trainings`, every epoch since the last report; of a trial
    of one training its newest metrics too. Cells and checkpoints are in the launch folder before
    the report that names them. A diverged training reports so and ends: trying the same numbers
    again could only diverge again.
    """
    check_here(LaunchStorage(inputs.launch_uri), inputs.inventory)
    trainings = [Training.from_dict(one) for one in config["trainings"]]
    resources = tune.get_context().get_trial_resources().required_resources
    torch.set_num_threads(max(1, int(resources.get("CPU", 1))))
    device = claim_device(resources.get("GPU", 0))
    reporter = _Reporter([_Member(training, inputs, device) for training in trainings])
    reporter.tell_what_ended_before()
    turns = {one.training_id: one.turns() for one in reporter.members if not one.has_ended}
    for outcomes in train_together(turns, device):
        reporter.epoch_ended(outcomes)


class _Reporter:
    """Decides when epochs become a report and checkpoints."""

    def __init__(self, members: Iterable[_Member]) -> None:
        self.members = list(members)
        self._report_pause = _REPORT_EVERY_S
        self._report_at = time.monotonic() + self._report_pause
        self._checkpoint_at = time.monotonic() + CHECKPOINT_EVERY_S

    def tell_what_ended_before(self) -> None:
        """Report the divergences of an earlier try, which may have died before it could."""
        if any(member.has_news for member in self.members):
            self._report()

    def epoch_ended(self, outcomes: Mapping[str, EpochResult | Diverged]) -> None:
        """Take in an epoch of every member that is still trained; none is amid another."""
        advanced = [member for member in self.members if member.training_id in outcomes]
        for member in advanced:
            member.take(outcomes[member.training_id])
        started = time.monotonic()
        if started >= self._checkpoint_at:
            for member in advanced:
                member.save()
            self._checkpoint_at = time.monotonic() + pause_since(started, CHECKPOINT_EVERY_S)
        if any(member.has_news for member in advanced):
            self._report()
        elif started >= self._report_at:
            started = time.monotonic()
            self._report()
            self._report_pause = pause_since(started, _REPORT_EVERY_S)
        else:
            return
        self._report_at = time.monotonic() + self._report_pause

    def _report(self) -> None:
        reports = {
            one.training_id: one.pop_report() for one in self.members if one.records or one.has_news
        }
        newest: dict[str, Any] = {}
        if len(self.members) == 1:
            (report,) = reports.values()
            for record in report["records"]:
                newest.update(record)
            newest.pop("milestone", None)
        try:
            tune.report({**newest, "trainings": reports})
        except SystemExit:
            # So Ray ends a trial that it stops, while it waits here: see `stoppable`.
            for member in self.members:
                member.save()
            raise


class _Member:
    """One training of a trial, and what it leaves in the launch folder."""

    def __init__(self, training: Training, inputs: TrialInputs, device: str) -> None:
        self.training_id = training.training_id
        self.records: list[EpochRecord] = []
        self.has_news = False
        self._training = training
        self._inputs = inputs
        self._storage = LaunchStorage(inputs.launch_uri)
        self._device = device
        self._attempt = inputs.attempts.get(self.training_id, Attempt(1, ()))
        self._folder = attempt_folder(self.training_id, self._attempt.number)
        self._outcome, self._message = "running", ""
        self._state: TrainState | None = None
        self._history: Sequence[EpochRecord] = ()
        self._saved_epoch = 0
        self._failure = f"{self.training_id}/failed.json"
        if self._storage.exists(self._failure):
            failure = self._storage.read_json(self._failure)
            self._outcome, self._message = failure["outcome"], failure["message"]
            self.has_news = True

    @property
    def has_ended(self) -> bool:
        return self._outcome != "running"

    def turns(self) -> Turns:
        # Whoever makes the next attempt sees that this one has begun.
        self._storage.write_json(f"{self._folder}/begun.json", {"hostname": socket.gethostname()})
        own = checkpoints_in(self._storage, self._folder)
        checkpoints = [*own, *self._attempt.checkpoints]
        state = newest_whole(self._training.fit, checkpoints, self._storage, self._device)
        if state is not None:
            self._history = state.history
        return fit_in_turns(
            self._training.fit,
            self._inputs.data,
            device=self._device,
            state=state,
            initial_weights=_initial_weights(self._training, self._storage),
        )

    def take(self, outcome: EpochResult | Diverged) -> None:
        if isinstance(outcome, Diverged):
            self._diverged(outcome)
            return
        self._state, self._history = outcome.state, outcome.state.history
        record = dict(outcome.record)
        if outcome.milestone:
            record["milestone"] = self._write_cell(outcome.state, record["epoch"])
            self.has_news = True
        self.records.append(record)
        if outcome.last:
            self._outcome = "finished"
        if outcome.milestone:
            self.save()

    def save(self) -> None:
        """Write a checkpoint of the newest epoch, without weights once the training has ended."""
        state = self._state
        if state is None or state.epoch == self._saved_epoch:
            return
        name = f"checkpoint_{state.epoch:06}"
        with tempfile.TemporaryDirectory() as scratch:
            folder = Path(scratch) / name
            state.save(folder, final=self._outcome == "finished")
            self._storage.upload_dir(folder, f"{self._folder}/{name}", last=STATE_FILE)
        self._saved_epoch = state.epoch
        # One that cannot be deleted now stays: it must not end a training that is well.
        with contextlib.suppress(OSError):
            for other in self._storage.list_dir(self._folder):
                if other.startswith("checkpoint_") and other < name:
                    self._storage.delete(f"{self._folder}/{other}")

    def pop_report(self) -> dict[str, Any]:
        """What is new since the last report."""
        report = {"outcome": self._outcome, "message": self._message, "records": self.records}
        self.records, self.has_news = [], False
        return report

    def _diverged(self, error: Diverged) -> None:
        self._outcome, self._message = "diverged", str(error)
        self.has_news = True
        self._storage.write_json(
            self._failure,
            {
                "outcome": self._outcome,
                "message": self._message,
                "history": list(self._history),
            },
        )
        self._state = None

    def _write_cell(self, state: TrainState, epoch: int) -> str:
        cell = self._training.cell_at(epoch)
        model, record = state.kept()
        target = f"{self.training_id}/cells/{cell.cell_id}"
        if self._storage.exists(f"{target}/cell.json"):
            return cell.cell_id  # trained again after a crash: MLflow may hold the first already
        with tempfile.TemporaryDirectory() as scratch:
            folder = Path(scratch) / "cell"
            write_cell(
                folder,
                cell_id=cell.cell_id,
                training_id=self.training_id,
                config=self._training.fit,
                history=state.history,
                metrics=record,
                model=model,
                data=self._inputs.data,
                device=self._device,
            )
            self._storage.upload_dir(folder, target, last="cell.json")
        return cell.cell_id


def pause_since(started: float, at_least_s: float) -> float:
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


def newest_whole(
    config: FitConfig,
    checkpoints: Iterable[str],
    storage: LaunchStorage,
    device: str,
    may_differ: tuple[str, ...] = (),
) -> TrainState | None:
    """Load the first of `checkpoints`, paths in the launch folder, that is whole."""
    for path in checkpoints:
        try:
            with fetched(storage, path) as folder:
                return TrainState.load(folder, config, device, may_differ)
        except ChromatuneError:
            continue
    return None


def _initial_weights(training: Training, storage: LaunchStorage) -> dict[str, torch.Tensor] | None:
    if training.initial_weights is None:
        return None
    with tempfile.TemporaryDirectory() as scratch:
        path = storage.download(training.initial_weights, Path(scratch) / "weights")
        return load_model(path).state_dict()
