"""How far a launch is and how long it still takes, from the epochs seen so far."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Mapping
from typing import Any, Literal

Status = Literal["waiting", "running", "done", "pruned", "failed", "diverged"]
ENDED: tuple[Status, ...] = ("done", "pruned", "failed", "diverged")


@dataclasses.dataclass
class TrainingPace:
    """What is known of one training: its epoch, its last metrics and its seconds per epoch."""

    training_id: str
    total_epochs: int
    status: Status = "waiting"
    epoch: int = 0
    metrics: dict[str, float] = dataclasses.field(default_factory=dict)
    _timed_epochs: int = 0
    _timed_seconds: float = 0.0
    _seen: tuple[int, float] | None = None

    def advance(self, epoch: int, metrics: Mapping[str, Any], now: float) -> None:
        """Take in one report. A training that goes on from a checkpoint may report a lower epoch.

        An epoch is timed by its own `seconds` if it has them, else by the clock between reports.
        """
        seconds = metrics.get("seconds")
        if isinstance(seconds, (int, float)) and 0 <= seconds < math.inf:
            self._timed_epochs += 1
            self._timed_seconds += seconds
        elif self._seen is not None and epoch > self._seen[0]:
            self._timed_epochs += epoch - self._seen[0]
            self._timed_seconds += now - self._seen[1]
        if metrics:
            self._seen = (epoch, now)
        self.epoch = min(max(epoch, 0), self.total_epochs)
        self.metrics.update(
            (name, float(value))
            for name, value in metrics.items()
            if isinstance(value, (int, float))
        )

    @property
    def seconds_per_epoch(self) -> float | None:
        """Mean over the epochs timed so far; None before the first."""
        return self._timed_seconds / self._timed_epochs if self._timed_seconds > 0 else None

    @property
    def epochs_left(self) -> int:
        return 0 if self.status in ENDED else self.total_epochs - self.epoch


def fraction_done(trainings: Iterable[TrainingPace]) -> float:
    """Share of the work that is behind, in [0, 1]: epochs, each weighted by how long it takes.

    A training not timed yet counts with the mean of the others; one that failed has no work left.
    """
    trainings = list(trainings)
    weights = _seconds_per_epoch(trainings)
    behind = sum(weight * one.epoch for weight, one in zip(weights, trainings, strict=True))
    ahead = sum(weight * one.epochs_left for weight, one in zip(weights, trainings, strict=True))
    return behind / (behind + ahead) if behind + ahead else float(bool(trainings))


def seconds_left(trainings: Iterable[TrainingPace]) -> float | None:
    """Estimate the time until the last training ends; None until an epoch has been timed.

    The work ahead is shared by as many trainings as run now, but no training ends before its own.
    """
    trainings = list(trainings)
    running = sum(one.status == "running" for one in trainings)
    if not running or all(one.seconds_per_epoch is None for one in trainings):
        return None
    weights = _seconds_per_epoch(trainings)
    ahead = [weight * one.epochs_left for weight, one in zip(weights, trainings, strict=True)]
    return max(sum(ahead) / running, *ahead, 0.0)


def _seconds_per_epoch(trainings: list[TrainingPace]) -> list[float]:
    measured = [one.seconds_per_epoch for one in trainings if one.seconds_per_epoch is not None]
    usual = sum(measured) / len(measured) if measured else 1.0
    return [usual if one.seconds_per_epoch is None else one.seconds_per_epoch for one in trainings]
