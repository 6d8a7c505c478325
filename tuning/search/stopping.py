"""Stopping rules: which trials of a search are stopped early. They use scores alone.

A rule keeps nothing: a process that was killed before a trial stopped is followed by one that
decides the same.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Protocol

import numpy as np

from tuning.config.search import SearchConfig
from tuning.errors import ChromatuneError
from tuning.search.promotion import Promotion, Scores

# A rung three times as high keeps a third: the first lies where two more can follow.
_RUNGS_ABOVE_THE_FIRST = 2
_MEDIAN_OF_AT_LEAST = 3


class Rule(Protocol):
    """Decides by the scores of all trials."""

    def stops(self, own: Scores, others: Iterable[Scores]) -> bool:
        """Whether to stop a trial at the last epoch of its `own` scores.

        `others` may be thousands: they are read only where they decide.
        """


def make_rule(search: SearchConfig, longest: int) -> Rule | None:
    """Build the rule that the configuration names, for trainings of up to `longest` epochs.

    Raises ChromatuneError for a grace period beyond the longest training.
    """
    match search.chosen_scheduler:
        case "none":
            return None
        case "asha-stop":
            return Asha(rungs(search, longest), search.reduction_factor)
        case "median":
            return MedianRule(first_rung(search, longest))
        case "asha" | "hyperband":
            first_rung(search, longest)
            return None


def make_promotion(search: SearchConfig, longest: int) -> Promotion | None:
    """Build what pauses and promotes trials; None where none are paused."""
    if not search.pauses_trials:
        return None
    found = rungs(search, longest)
    # Beyond the last third too little is left to save.
    useful = [rung for rung in found if rung * search.reduction_factor <= longest] or found[:1]
    brackets = len(useful) + 1 if search.chosen_scheduler == "hyperband" else 1
    return Promotion(useful, search.reduction_factor, brackets)


def is_stagnant(
    scores: Mapping[int, float], news: Iterable[int], patience: int, min_improvement: float
) -> bool:
    """Whether the last `patience` of the trials `news` have not improved the best score.

    Scores are by the number of the trial, larger ones are better; all others are from before. A
    trial without a score does not count. Improvements up to `min_improvement` do not count unless
    they add up to more.
    """
    news, since = list(news), 0
    best = max((score for number, score in scores.items() if number not in news), default=-math.inf)
    for score in (scores[number] for number in news if number in scores):
        since += 1
        if score > best + min_improvement:
            best, since = score, 0
    return since >= patience


class Asha:
    """Asynchronous successive halving, by stopping.

    At each of `rungs` a trial is stopped if its score is not among the best 1/`reduction_factor` of
    the others there. A score counts at the highest rung that its epoch has reached, once. (Li et
    al., A System for Massively Parallel Hyperparameter Tuning, 2020; decides as Ray Tune's
    ASHAScheduler does with one bracket.)
    """

    def __init__(self, rungs: list[int], reduction_factor: float) -> None:
        self._rungs = rungs
        self._keep = 1 - 1 / reduction_factor

    def stops(self, own: Scores, others: Iterable[Scores]) -> bool:
        last = max(own)
        rung = self._rung(last)
        if rung == 0 or self._first_at(rung, own) != last:
            return False
        there = [
            other[epoch] for other in others if (epoch := self._first_at(rung, other)) is not None
        ]
        cutoff = np.nanpercentile(there, 100 * self._keep) if there else -math.inf
        return bool(own[last] < cutoff)

    def _rung(self, epoch: int) -> int:
        """The highest rung that an epoch has reached; 0 below the first."""
        return max((rung for rung in self._rungs if rung <= epoch), default=0)

    def _first_at(self, rung: int, scores: Scores) -> int | None:
        return min((epoch for epoch in scores if self._rung(epoch) == rung), default=None)


class MedianRule:
    """Stops a trial whose best score is worse than the median of the others' means until then.

    It decides from epoch `grace_period` on, and only beside at least three others that have come as
    far. (Golovin et al., Google Vizier, 2017; decides as Ray Tune's MedianStoppingRule does.)
    """

    def __init__(self, grace_period: int) -> None:
        self._grace_period = grace_period

    def stops(self, own: Scores, others: Iterable[Scores]) -> bool:
        last = max(own)
        if last < self._grace_period:
            return False
        counted = [
            [score for epoch, score in other.items() if self._grace_period <= epoch <= last]
            for other in others
            if max(other, default=0) >= last
        ]
        means = [np.mean(scores) for scores in counted if scores]
        return len(means) >= _MEDIAN_OF_AT_LEAST and bool(max(own.values()) < np.median(means))


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
    """The epochs at which trials are compared; [] for rules without such."""
    if not (search.pauses_trials or search.chosen_scheduler == "asha-stop"):
        return []
    found = [float(first_rung(search, longest))]
    while found[-1] * search.reduction_factor <= longest:
        found.append(found[-1] * search.reduction_factor)
    return [math.ceil(rung) for rung in found]
