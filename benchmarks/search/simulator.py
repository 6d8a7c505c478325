"""Runs a search method on recorded learning curves instead of trainings."""

from __future__ import annotations

import dataclasses
import heapq
import math
from collections.abc import Mapping
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from benchmarks.search.curves import EPOCHS, Curves


class Step(NamedTuple):
    """Train `trial`, a training of the point with the number `point`, until after `epoch`."""

    trial: int
    point: int
    epoch: int


class Method(Protocol):
    """A search: it is asked what to train, and told the scores; larger ones are better."""

    def ask(self) -> Step | None:
        """Return the next step; None while it waits for scores of running ones."""

    def tell(self, step: Step, scores: Mapping[int, float], seconds: float) -> None:
        """Take in the score after each epoch of a step, and the seconds that it took."""


@dataclasses.dataclass(frozen=True)
class Trace:
    """What a search had found when.

    Each is (epochs,): seconds since the start until an epoch ended, in order, and the `regret` in
    dB from then on: the best mean over the recorded seeds of any point, less that of the trial with
    the best score so far, at the epoch of that score.
    """

    seconds: NDArray[np.float64]
    regret: NDArray[np.float64]

    def epochs_to(self, regret: float) -> float:
        """Trained epochs until the regret has fallen to `regret`; inf if it has not."""
        return _first(self.regret <= regret, np.arange(1, len(self.regret) + 1))

    def seconds_to(self, regret: float) -> float:
        """Likewise, in seconds."""
        return _first(self.regret <= regret, self.seconds)


def simulate(method: Method, curves: Curves, seed: int, workers: int, most_epochs: int) -> Trace:
    """Run a method until its trials have had `most_epochs` epochs, or it has nothing more to do.

    An epoch is trained once per trial, in the recorded seconds. Scores are those of the recorded
    seed with the number `seed`; a diverged training scores 0.
    """
    means = np.maximum.accumulate(curves.psnr, axis=2).mean(axis=1)  # (points, epochs)
    trained: dict[int, int] = {}
    running: list[tuple[float, int, Step, dict[int, float], float]] = []
    ended: list[tuple[float, float, float]] = []  # time of an epoch, its score, its regret
    now, epochs, asked = 0.0, 0, 0
    while True:
        while len(running) < workers and epochs < most_epochs and (step := method.ask()):
            begin = trained.get(step.trial, 0)
            assert begin < step.epoch <= EPOCHS, f"{step} was trained until {begin}"
            trained[step.trial] = step.epoch
            part = slice(begin, step.epoch)
            seconds = np.cumsum(curves.seconds[step.point, seed, part])
            scores = curves.psnr[step.point, seed, part]
            ended += zip(now + seconds, scores, means.max() - means[step.point, part], strict=True)
            epochs += step.epoch - begin
            told = dict(enumerate(scores.tolist(), begin + 1))
            length = float(seconds[-1])
            heapq.heappush(running, (now + length, asked, step, told, length))
            asked += 1
        if not running:
            break
        now, _, step, told, length = heapq.heappop(running)
        method.tell(step, told, length)
    ended = sorted(ended, key=lambda epoch: epoch[0])[:most_epochs]
    times, scores, regrets = np.array(ended, float).T
    best = np.maximum.accumulate(scores)
    # The incumbent is that of the newest epoch which was better than all before it.
    newest = np.maximum.accumulate(np.where(scores == best, np.arange(len(best)), 0))
    return Trace(times, regrets[newest])


def _first(reached: NDArray[np.bool_], when: NDArray[Any]) -> float:
    return float(when[int(np.argmax(reached))]) if reached.any() else math.inf
