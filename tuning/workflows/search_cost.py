"""What a search would cost: epochs of its first suggestions, timed on this machine."""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Sequence
from typing import Any

import torch

from tuning.search.plan import SearchPlan
from tuning.search.stopping import rungs
from tuning.training.config import FitConfig
from tuning.training.data import TaskData
from tuning.training.devices import pick_device
from tuning.training.loop import fit

_TIMED_PICTURES = 100
_TIMED_EPOCHS = 3


@dataclasses.dataclass(frozen=True)
class Cost:
    """What a search's trials would take: epochs, and hours of one device.

    `cut_epochs` and `cut_hours` are left if the scheduler stops the share that it is meant to.
    """

    device: str
    trials: int
    epochs: int
    cut_epochs: float
    seconds_per_epoch: float
    hours: float
    cut_hours: float


def search_cost(
    plan: SearchPlan, trials: int, suggested: Sequence[FitConfig], timed: int, data: TaskData
) -> Cost:
    """Extrapolate the means of the suggestions to all trials; without suggestions all is 0.

    The first `timed` are trained, on a GPU if there is one, else on one CPU core.
    """
    device = pick_device("auto")
    seconds = _mean([_seconds_per_epoch(config, data, device) for config in suggested[:timed]])
    epochs = round(trials * _mean([config.epochs for config in suggested]))
    cut = trials * _mean([_expected_epochs(plan, config.epochs) for config in suggested])
    return Cost(
        device="GPU" if device == "cuda" else "core",
        trials=trials,
        epochs=epochs,
        cut_epochs=cut,
        seconds_per_epoch=seconds,
        hours=epochs * seconds / 3600,
        cut_hours=cut * seconds / 3600,
    )


def _expected_epochs(plan: SearchPlan, epochs: int) -> float:
    """Mean number of epochs that are trained of `epochs` if each rung keeps its share of trials."""
    expected, share, last = 0.0, 1.0, 0
    for rung in rungs(plan.search, plan.space.most_epochs):
        if rung >= epochs:
            break
        expected += share * (rung - last)
        share, last = share / plan.search.reduction_factor, rung
    return expected + share * (epochs - last)


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values) if values else 0.0


def _seconds_per_epoch(config: FitConfig, data: TaskData, device: str) -> float:
    """Time short epochs of a training, scaled to the number of pictures."""
    count = min(len(data.train), max(_TIMED_PICTURES, config.batch_size))
    arrays = {name: getattr(data.train, name) for name in ("L", "a", "b", "mean_ab")}
    first: dict[str, Any] = {
        name: None if array is None else array[:count] for name, array in arrays.items()
    }
    train = dataclasses.replace(data.train, **first)
    short = dataclasses.replace(config, milestones=(_TIMED_EPOCHS,), eval_every=1)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # as in a trial
    try:
        started = time.perf_counter()
        results = fit(short, dataclasses.replace(data, train=train), device=device)
        seconds = [float(result.record["seconds"]) for result in results]
        elapsed = time.perf_counter() - started
    finally:
        torch.set_num_threads(threads)
    # The first epoch warms up. Each validation uses all of its pictures.
    validation = (elapsed - sum(seconds)) / len(seconds)
    return min(seconds[1:]) * len(data.train) / count + validation
