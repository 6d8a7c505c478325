"""What a search would cost: a step of each suggestion, timed here."""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Sequence

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
    """What a search's trials would take: epochs, and hours of one device, with and without cuts.

    `cut_epochs` is what is left if the scheduler cuts as it is meant to; without cuts it is the
    same as `epochs`.
    """

    device: str
    trials: int
    epochs: int
    cut_epochs: float
    seconds_per_epoch: float

    @property
    def hours(self) -> float:
        return self.epochs * self.seconds_per_epoch / 3600

    @property
    def cut_hours(self) -> float:
        return self.cut_epochs * self.seconds_per_epoch / 3600


def search_cost(
    plan: SearchPlan,
    trials: int,
    suggested: Sequence[FitConfig],
    timed: Sequence[FitConfig],
    data: TaskData,
) -> Cost:
    """Take the means of what is suggested for all trials; on a GPU if there is one, else on a core.

    Only `timed` are timed, which may be fewer. Nothing suggested costs nothing.
    """
    device = pick_device("auto")
    seconds = [_seconds_per_epoch(one, data, device) for one in timed]
    return Cost(
        "GPU" if device == "cuda" else "core",
        trials,
        round(trials * _mean([one.epochs for one in suggested])),
        trials * _mean([expected_epochs(plan, one.epochs) for one in suggested]),
        _mean(seconds),
    )


def expected_epochs(plan: SearchPlan, epochs: int) -> float:
    """Epochs that are left of one training on average if each rung lets its share go on."""
    reduction = plan.search.reduction_factor
    left, share, before = 0.0, 1.0, 0
    for rung in rungs(plan.search, plan.space.most_epochs):
        if rung >= epochs:
            break
        left += share * (rung - before)
        share, before = share / reduction, rung
    return left + share * (epochs - before)


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values) if values else 0.0


def _seconds_per_epoch(one: FitConfig, data: TaskData, device: str) -> float:
    """Time short epochs of a training, and take them for as many pictures as there are."""
    shown = min(len(data.train), max(_TIMED_PICTURES, one.batch_size))
    train = dataclasses.replace(
        data.train,
        L=data.train.L[:shown],
        a=None if data.train.a is None else data.train.a[:shown],
        b=None if data.train.b is None else data.train.b[:shown],
        mean_ab=data.train.mean_ab[:shown],
    )
    short = dataclasses.replace(one, milestones=(_TIMED_EPOCHS,), eval_every=1)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # as a trial has them
    try:
        started = time.perf_counter()
        results = fit(short, dataclasses.replace(data, train=train), device=device)
        seconds = [float(result.record["seconds"]) for result in results]
        elapsed = time.perf_counter() - started
    finally:
        torch.set_num_threads(threads)
    # The first epoch warms up. Validation takes the whole of its pictures each time.
    validation = (elapsed - sum(seconds)) / len(seconds)
    return min(seconds[1:]) * len(data.train) / shown + validation
