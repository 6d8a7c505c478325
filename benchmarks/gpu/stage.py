"""One stage: trainings gone on with until all have ended or the time is up."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch

from benchmarks.gpu.jobs import Job
from benchmarks.gpu.place import Place
from models import load_model, save_model
from tuning.launch.exchange import write_json
from tuning.training.checkpoint import TrainState
from tuning.training.data import Split, TaskData
from tuning.training.loop import Diverged, EpochResult, fit
from tuning.training.metrics import evaluate

_CHECKPOINT_EVERY_S = 60.0
# What a stage needs at its end beside the last checkpoint: the results file and Python's own end.
_RESERVE_S = 10.0


class Clock:
    """Says when a stage must end so that it is over `minutes` after its beginning; 0: never."""

    def __init__(self, minutes: float) -> None:
        self._ends = time.monotonic() + 60 * minutes if minutes else math.inf
        self._last = time.monotonic()
        self._slowest_epoch = self._slowest_save = 0.0

    def training_begins(self) -> None:
        self._last = time.monotonic()
        self._slowest_epoch = self._slowest_save = 0.0

    def epoch_ended(self) -> None:
        self._slowest_epoch = max(self._slowest_epoch, self._since())

    def saved(self) -> None:
        self._slowest_save = max(self._slowest_save, self._since())

    @property
    def is_up(self) -> bool:
        """Whether another epoch and a checkpoint, each as slow as the slowest, might be too much.

        A first checkpoint is taken to last as long as an epoch.
        """
        save = self._slowest_save or self._slowest_epoch
        needed = 2 * self._slowest_epoch + 2 * save + _RESERVE_S
        return time.monotonic() + needed > self._ends

    def _since(self) -> float:
        before, self._last = self._last, time.monotonic()
        return self._last - before


@dataclass(frozen=True)
class Pictures:
    """What the trainings of a task see of a dataset; `test` is seen only by what has ended."""

    data: TaskData
    test: Split


def go_on(job: Job, place: Place, pictures: Pictures, device: torch.device, clock: Clock) -> bool:
    """Go on with a training; return whether it has ended. One epoch at least is trained."""
    if place.has_ended(job):
        return True
    folder = place.checkpoint(job)
    began = (folder / "state.json").is_file()
    state = TrainState.load(folder, job.fit, device) if began else None
    weights = None
    if state is None and job.parent is not None and job.parent_launch is not None:
        weights = load_model(place.model(job.parent_launch, job.parent)).state_dict()
    history = list(state.history) if state else []
    clock.training_begins()
    saved = time.monotonic()
    try:
        for result in fit(
            job.fit, pictures.data, device=device, state=state, initial_weights=weights
        ):
            history = result.state.history
            if result.milestone:
                _cut_cell(job, place, pictures, device, result)
            clock.epoch_ended()
            is_up = clock.is_up and not result.last
            if is_up or result.milestone or time.monotonic() - saved >= _CHECKPOINT_EVERY_S:
                result.state.save(folder, final=result.last)
                clock.saved()
                saved = time.monotonic()
            if is_up:
                _tell(f"{job.launch} {job.name}: stopped after epoch {len(history)}")
                return False
    except Diverged as error:
        place.write_failure(job, str(error), history)
        _tell(f"{job.launch} {job.name}: {error}")
    return True


def measure(
    job: Job, cell: dict[str, Any], place: Place, test: Split, device: torch.device
) -> None:
    """Measure a finished cell on the test set, once."""
    if not cell["test_metrics"]:
        model = load_model(place.model(job.launch, cell["cell_id"]), device)
        metrics = evaluate(model, test, job.task, prefix="test_", device=device)
        place.write_cell(job, cell | {"test_metrics": metrics})


def end_stage(place: Place, stages: list[Mapping[str, float]], started: float) -> None:
    """Write down that a stage is over, `started` in seconds since 1970."""
    stage = {"started": round(1000 * started), "seconds": time.time() - started}
    write_json(place.stages, [*stages, stage])


def _cut_cell(
    job: Job, place: Place, pictures: Pictures, device: torch.device, result: EpochResult
) -> None:
    model, record = result.state.kept()
    history = result.state.history
    cell_id = job.cell_id(history[-1]["epoch"])
    path = place.model(job.launch, cell_id)
    path.parent.mkdir(exist_ok=True)
    save_model(model, path)
    is_final = not job.launch.startswith("grid")
    cell = {
        "cell_id": cell_id,
        "metrics": {
            key: float(value)
            for key, value in record.items()
            if key.startswith("val_") or key == "train_loss"
        },
        "test_metrics": (
            evaluate(model, pictures.test, job.task, prefix="test_", device=device)
            if is_final
            else {}
        ),
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "kept_epoch": record["epoch"],
        "seconds": math.fsum(one["seconds"] for one in history),
        "started": history[0]["timestamp"] - round(history[0]["seconds"] * 1000),
        "ended": history[-1]["timestamp"],
        "history": list(history),
    }
    place.write_cell(job, cell)
    score = "val_mse" if job.task == "regression" else "val_psnr"
    _tell(f"{job.launch} {cell_id}: {score} {record[score]:.6g} after {cell['seconds']:.1f} s")


def _tell(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
