"""Priors: where the user, or an earlier search on other data, expects the best configurations."""

from __future__ import annotations

import math
import statistics
import zlib
from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
from optuna.distributions import BaseDistribution, CategoricalDistribution, IntDistribution
from optuna.samplers import BaseSampler, RandomSampler
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

Confidence = Literal["low", "medium", "high"]

# Of a range: standard deviation as a part of it, on its logarithm where it is logarithmic.
_SPREAD: Mapping[Confidence, float] = {"low": 0.5, "medium": 0.25, "high": 0.125}
# Of choices: how many times as likely the expected one is as each other.
_ODDS: Mapping[Confidence, float] = {"low": 2, "medium": 4, "high": 8}
_MOST_FROM_PRIOR = 1 / 3
_BEST = 3


class Prior(NamedTuple):
    """The value of a parameter that is expected to be good, as Optuna keeps it."""

    value: Any
    confidence: Confidence

    def draw(self, among: BaseDistribution, rng: np.random.Generator) -> Any:
        """Draw a value near the expected one."""
        if isinstance(among, CategoricalDistribution):
            odds = np.array([self._odds(choice) for choice in among.choices])
            return among.choices[int(rng.choice(len(odds), p=odds / odds.sum()))]
        place = math.inf
        while not 0 <= place <= 1:
            place = rng.normal(_place(among, self.value), _SPREAD[self.confidence])
        return _value(among, place)

    def density(self, among: BaseDistribution, value: Any) -> float:
        """Return how many times as likely a value is as without the prior."""
        if isinstance(among, CategoricalDistribution):
            odds = [self._odds(choice) for choice in among.choices]
            return self._odds(value) * len(odds) / sum(odds)
        normal = statistics.NormalDist(_place(among, self.value), _SPREAD[self.confidence])
        return normal.pdf(_place(among, value)) / (normal.cdf(1) - normal.cdf(0))

    def _odds(self, choice: Any) -> float:
        return _ODDS[self.confidence] if repr(choice) == repr(self.value) else 1.0


Priors = Mapping[str, tuple[BaseDistribution, Prior]]


class PriorSampler(BaseSampler):
    """Draws from `priors`, by the parameters' names, or as `sampler` does.

    At first every third trial is drawn from the priors. Once `start` trials have scores, it is a
    third of the share that the priors have of the best third of them: those are the trials which
    are likelier with the priors than without. So wrong priors are soon left, and right ones used.
    PriorBand mixes draws from prior and model likewise (Mallik et al., 2023).

    `values` are the scores of trials by number, larger ones better.
    """

    def __init__(
        self,
        sampler: BaseSampler,
        priors: Priors,
        values: Mapping[int, float],
        start: int,
        seed: int,
    ) -> None:
        self._sampler = sampler
        self._priors = priors
        self._values = values
        self._start = start
        self._seed = seed
        self._random = RandomSampler(seed)
        self._draws_from_priors: bool | None = None

    def infer_relative_search_space(
        self, study: Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        if self._uses_priors(study):
            return {}
        return dict(self._sampler.infer_relative_search_space(study, trial))

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        if self._uses_priors(study):
            return {}
        return dict(self._sampler.sample_relative(study, trial, search_space))

    def sample_independent(
        self,
        study: Study,
        trial: FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> Any:
        drawn_by: BaseSampler = self._sampler
        if self._uses_priors(study):
            if param_name in self._priors:
                # Of the name as well: a search that was killed during a draw goes on with it.
                rng = np.random.default_rng([self._seed, zlib.crc32(param_name.encode())])
                return self._priors[param_name][1].draw(param_distribution, rng)
            drawn_by = self._random
        return drawn_by.sample_independent(study, trial, param_name, param_distribution)

    def before_trial(self, study: Study, trial: FrozenTrial) -> None:
        self._sampler.before_trial(study, trial)

    def after_trial(
        self, study: Study, trial: FrozenTrial, state: TrialState, values: Sequence[float] | None
    ) -> None:
        self._sampler.after_trial(study, trial, state, values)

    def _uses_priors(self, study: Study) -> bool:
        if self._draws_from_priors is None:
            share = self._share(study.get_trials(deepcopy=False))
            self._draws_from_priors = bool(np.random.default_rng(self._seed).random() < share)
        return self._draws_from_priors

    def _share(self, trials: Sequence[FrozenTrial]) -> float:
        scores = self._values
        if len(scores) < self._start:
            return _MOST_FROM_PRIOR
        best = sorted(scores, key=lambda number: -scores[number])[: max(1, len(scores) // _BEST)]
        likely = [self._density(trials[number].params) > 1 for number in best]
        return _MOST_FROM_PRIOR * sum(likely) / len(likely)

    def _density(self, params: Mapping[str, Any]) -> float:
        return math.prod(
            prior.density(among, params[name])
            for name, (among, prior) in self._priors.items()
            if name in params
        )


def _place(among: Any, value: float) -> float:
    """Where a value lies in a range, from 0 to 1."""
    low, high, value = (math.log(x) if among.log else x for x in (among.low, among.high, value))
    return 0.5 if low == high else (value - low) / (high - low)


def _value(among: Any, place: float) -> float:
    low, high = (math.log(x) if among.log else x for x in (among.low, among.high))
    value = low + place * (high - low)
    value = math.exp(value) if among.log else value
    if among.step is not None:
        value = among.low + round((value - among.low) / among.step) * among.step
    value = min(max(value, among.low), among.high)
    return int(value) if isinstance(among, IntDistribution) else float(value)
