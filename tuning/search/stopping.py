"""Stopping rules: which trials of a search are stopped early. They use scores alone."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from tuning.config.search import SearchConfig
from tuning.errors import ChromatuneError
from tuning.launch.monitor import StoppingRule
from tuning.search.objectives import Objective

# A rung three times as high keeps a third: the first lies where two more can follow.
_RUNGS_ABOVE_THE_FIRST = 2
_MEDIAN_OF_AT_LEAST = 3


def make_rule(search: SearchConfig, objective: Objective, longest: int) -> StoppingRule | None:
    """Build the rule that the configuration names, for trainings of up to `longest` epochs.

    Raises ChromatuneError for a grace period beyond the longest training.
    """
    match search.chosen_scheduler:
        case "none":
            return None
        case "asha":
            first_rung(search, longest)
            return Asha(rungs(search, longest), search.reduction_factor, objective)
        case "median":
            return MedianRule(first_rung(search, longest), objective)


class Asha:
    """Asynchronous successive halving, by stopping.

    At each of `rungs` a trial is stopped if its score is not among the best 1/`reduction_factor` of
    the earlier ones there. A score counts at the highest rung that its epoch has reached.
    (Li et al., A System for Massively Parallel Hyperparameter Tuning, 2020; decides as Ray Tune's
    ASHAScheduler does with one bracket.)
    """

    def __init__(self, rungs: list[int], reduction_factor: float, objective: Objective) -> None:
        self._keep = 1 - 1 / reduction_factor
        self._sign = objective.sign
        self._rungs: list[tuple[int, dict[str, float]]] = [(rung, {}) for rung in reversed(rungs)]

    def stops(self, training_id: str, epoch: int, score: float) -> bool:
        for rung, scores in self._rungs:
            if epoch < rung:
                continue
            if training_id in scores:
                return False
            before = list(scores.values())
            scores[training_id] = self._sign * score
            cutoff = np.nanpercentile(before, 100 * self._keep) if before else -math.inf
            return bool(scores[training_id] < cutoff)
        return False


class MedianRule:
    """Stops a trial whose best score is worse than the median of the others' means until then.

    It decides from epoch `grace_period` on, and only beside at least three other trials. (Golovin
    et al., Google Vizier, 2017; decides as Ray Tune's MedianStoppingRule does.)
    """

    def __init__(self, grace_period: int, objective: Objective) -> None:
        self._grace_period = grace_period
        self._sign = objective.sign
        self._scores: dict[str, dict[int, float]] = {}

    def stops(self, training_id: str, epoch: int, score: float) -> bool:
        own = self._scores.setdefault(training_id, {})
        own[epoch] = self._sign * score
        if epoch < self._grace_period:
            return False
        means = [
            self._mean_until(epoch, scores)
            for name, scores in self._scores.items()
            if name != training_id and max(scores) >= epoch
        ]
        means = [mean for mean in means if math.isfinite(mean)]
        if len(means) < _MEDIAN_OF_AT_LEAST:
            return False
        return bool(max(own.values()) < np.median(means))

    def _mean_until(self, epoch: int, scores: Mapping[int, float]) -> float:
        counted = [score for when, score in scores.items() if self._grace_period <= when <= epoch]
        return float(np.mean(counted)) if counted else math.nan


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
