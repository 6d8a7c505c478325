"""Which trials of a search are stopped early: Optuna's pruners, which use scores alone."""

from __future__ import annotations

import math

import numpy as np
from optuna import Study
from optuna.pruners import BasePruner, MedianPruner, NopPruner
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial

from tuning.config.search import SearchConfig
from tuning.errors import ChromatuneError

# A rung three times as high keeps a third: the first lies where two more can follow.
_RUNGS_ABOVE_THE_FIRST = 2
_MEDIAN_OF_AT_LEAST = 3


def make_pruner(search: SearchConfig, longest: int) -> BasePruner:
    """Build the pruner that the configuration names, for trainings of up to `longest` epochs.

    Raises ChromatuneError for a grace period beyond the longest training.
    """
    match search.chosen_scheduler:
        case "none":
            return NopPruner()
        case "asha":
            return Asha(rungs(search, longest), search.reduction_factor)
        case "median":
            least, first = _MEDIAN_OF_AT_LEAST, first_rung(search, longest)
            return MedianPruner(least, n_warmup_steps=first, n_min_trials=least)


class Asha(BasePruner):
    """Asynchronous successive halving, by stopping.

    At each of `rungs` a trial is stopped if its score is not among the best 1/`reduction_factor` of
    the others there. A score counts at the highest rung that its epoch has reached, once. (Li et
    al., A System for Massively Parallel Hyperparameter Tuning, 2020; decides as Ray Tune's
    ASHAScheduler does with one bracket.)

    Unlike Optuna's own, it keeps nothing: a process that was killed before a trial stopped is
    followed by one that decides the same.
    """

    def __init__(self, rungs: list[int], reduction_factor: float) -> None:
        self._rungs = rungs
        self._keep = 1 - 1 / reduction_factor

    def prune(self, study: Study, trial: FrozenTrial) -> bool:
        """Whether to stop `trial`, whose last intermediate value has just been reported."""
        rung = self._rung(trial.last_step or 0)
        if rung == 0 or self._first_step(trial, rung) != trial.last_step:
            return False
        sign = 1 if study.direction == StudyDirection.MAXIMIZE else -1
        others = [
            sign * other.intermediate_values[step]
            for other in study.get_trials(deepcopy=False)
            if other.number != trial.number and (step := self._first_step(other, rung)) is not None
        ]
        cutoff = np.nanpercentile(others, 100 * self._keep) if others else -math.inf
        return bool(sign * trial.intermediate_values[trial.last_step] < cutoff)

    def _rung(self, epoch: int) -> int:
        """The highest rung that an epoch has reached; 0 below the first."""
        return max((rung for rung in self._rungs if rung <= epoch), default=0)

    def _first_step(self, trial: FrozenTrial, rung: int) -> int | None:
        steps = (step for step in trial.intermediate_values if self._rung(step) == rung)
        return min(steps, default=None)


def first_rung(search: SearchConfig, longest: int) -> int:
    """The epoch before which no trial is stopped: the grace period, or a share of the longest."""
    if search.grace_period is None:
        return max(1, round(longest / search.reduction_factor**_RUNGS_ABOVE_THE_FIRST))
    if search.grace_period > longest:
        raise ChromatuneError(
            f"search.grace_period is {search.grace_period}, but the longest training has "
            f"{longest} epochs"
        )
    return search.grace_period


def rungs(search: SearchConfig, longest: int) -> list[int]:
    """The epochs at which ASHA compares trials; [] for other rules."""
    if search.chosen_scheduler != "asha":
        return []
    found = [float(first_rung(search, longest))]
    while found[-1] * search.reduction_factor <= longest:
        found.append(found[-1] * search.reduction_factor)
    return [math.ceil(rung) for rung in found]
