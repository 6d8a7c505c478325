"""Asynchronous successive halving by promotion: which paused trial of a search goes on.

It uses scores alone and keeps nothing: a process that was killed is followed by one that decides
the same.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence

# The best score of a trial until each epoch that was validated; larger ones are better.
Scores = Mapping[int, float]


@dataclasses.dataclass(frozen=True)
class Trained:
    """How far a trial of `epochs` epochs has come.

    It is judged at rungs from epoch `judged_from` on. It `is_paused` at the last epoch of its
    scores; otherwise it runs, has ended, or is known from elsewhere.
    """

    number: int
    scores: Scores
    epochs: int
    judged_from: int = 1
    is_paused: bool = False


class Promotion:
    """Each trial pauses at each rung, and goes on when it is among the best there.

    Of n trials that have reached a rung, the best n/`reduction_factor` go on, rounded down. Unlike
    with stopping, no trial is lost because it came before worse ones. (Li et al., A System for
    Massively Parallel Hyperparameter Tuning, 2020.) With several `brackets`, every second, third, …
    trial skips one, two, … of the first rungs, as in Hyperband.
    """

    def __init__(self, rungs: Sequence[int], reduction_factor: float, brackets: int = 1) -> None:
        self.rungs = tuple(rungs)
        self._factor = reduction_factor
        self._brackets = brackets

    def judged_from(self, number: int, warmup_epochs: float, epochs: int) -> int:
        """Return from which epoch on the trial with this number is judged.

        A learning rate that still rises tells little: `warmup_epochs` are not judged.
        """
        skipped = number % self._brackets
        first = (*self.rungs, epochs)[skipped] if skipped else 1
        return max(first, math.ceil(warmup_epochs))

    def next_rung(self, trial: Trained) -> int:
        """Return the epoch at which the trial pauses next, or ends."""
        reached = max(trial.scores, default=0)
        return next((rung for rung in self._rungs_of(trial) if reached < rung), trial.epochs)

    def pauses_at(self, trial: Trained, epoch: int) -> bool:
        """Say whether the trial pauses after this epoch."""
        return epoch in self._rungs_of(trial)

    def choose(self, trials: Sequence[Trained], *, finishes: bool = False) -> Trained | None:
        """Return the paused trial that goes on; None if none may.

        The highest rung comes first, and its best trial. With `finishes`, when no new trials come,
        the best of a rung goes on even if too few have reached it.
        """
        for rung in reversed(self.rungs):
            there = [(score, t) for t in trials if (score := self._score(rung, t)) is not None]
            count = max(int(finishes), math.floor(len(there) / self._factor))
            for _, trial in sorted(there, key=lambda pair: -pair[0])[:count]:
                if trial.is_paused and self._rung(max(trial.scores)) == rung:
                    return trial
        return None

    def comparable(self, trials: Sequence[Trained], at_least: int) -> dict[int, float]:
        """Return the scores of trials at one rung, or at their end, by their numbers.

        It is the highest that `at_least` trials have reached, and the share of those at the lowest
        that goes on; otherwise the lowest. Without the share a few known trainings would outweigh
        all trials that have not ended.
        """
        there = []
        for rung in (*self.rungs, math.inf):
            scores = {trial.number: self._score(rung, trial) for trial in trials}
            there.append({n: s for n, s in scores.items() if s is not None and math.isfinite(s)})
        enough = max(at_least, len(there[0]) / self._factor)
        return next((found for found in reversed(there) if len(found) >= enough), there[0])

    def _score(self, rung: float, trial: Trained) -> float | None:
        """The score of the first validated epoch from a rung to the next; the last if it is inf."""
        if rung == math.inf:
            last = max(trial.scores, default=0)
            return trial.scores[last] if last >= trial.epochs else None
        at = [
            epoch
            for epoch in trial.scores
            if trial.judged_from <= rung <= epoch < trial.epochs and self._rung(epoch) == rung
        ]
        score = trial.scores[min(at)] if at else math.nan
        return None if math.isnan(score) else score

    def _rungs_of(self, trial: Trained) -> list[int]:
        return [rung for rung in self.rungs if trial.judged_from <= rung < trial.epochs]

    def _rung(self, epoch: int) -> int:
        """The highest rung that an epoch has reached; 0 below the first."""
        return max((rung for rung in self.rungs if rung <= epoch), default=0)
