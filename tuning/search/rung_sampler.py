"""A sampler that learns from trials which were cut early or are paused, and repeats no point.

Optuna's samplers rank every finished trial before every other one, and do not see running ones.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import optuna
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler, RandomSampler
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState, create_trial

from tuning.config.search import SearchConfig
from tuning.search.distributions import decoded
from tuning.search.priors import PriorSampler
from tuning.search.samplers import make_sampler
from tuning.search.space import Parameter, Space

# Samplers that use only the parameters and values of a study's trials.
_LEARN_FROM_STUDY = frozenset({"tpe", "gp"})
_DRAWS = 10


def startup_trials(search: SearchConfig, parameters: Sequence[Parameter]) -> int:
    """How many trials are drawn at random; by default one more than there are parameters.

    That is the rule of BOHB (Falkner et al., 2018).
    """
    return int(search.sampler_options.get("n_startup_trials", len(parameters) + 1))


def make_space_sampler(
    search: SearchConfig,
    seed: int,
    space: Space,
    values: Mapping[int, float],
    sign: float = 1.0,
) -> BaseSampler:
    """Build the sampler for the next trial, with the priors of the parameters.

    `values` are comparable scores of trials by number, larger ones better; `sign` is -1 where
    smaller values of the objective are. Where trials pause, TPE and GP learn from `values` alone,
    and begin with cheap networks.
    """
    start = startup_trials(search, space.parameters)
    sampler: BaseSampler
    if search.pauses_trials and search.sampler in _LEARN_FROM_STUDY:
        sampler = make_sampler(search, seed, n_startup_trials=start)
        signed = {number: sign * value for number, value in values.items()}
        sampler = RungSampler(sampler, space, signed, start, seed)
    else:
        sampler = make_sampler(search, seed)
    priors = {p.name: (p.distribution, p.prior) for p in space.parameters if p.prior is not None}
    return PriorSampler(sampler, priors, values, start, seed) if priors else sampler


class RungSampler(BaseSampler):
    """Draws whole points of `space` as `sampler` does in a study whose trials ended with `values`.

    Of the first `start` points, which are drawn at random, one that takes n times the operations of
    the cheapest is kept with a probability of 1/√n, between the same number of trials for every
    network and the same time. If all draws are refused, the cheapest of them is taken.

    Later, a point that another trial has is drawn again, in the end at random: in a finite space a
    sampler soon repeats the best ones.
    """

    def __init__(
        self,
        sampler: BaseSampler,
        space: Space,
        values: Mapping[int, float],
        start: int,
        seed: int,
    ) -> None:
        self._sampler = sampler
        self._space = space
        self._values = values
        self._is_start = len(values) < start
        self._random = RandomSampler(seed)
        self._rng = np.random.default_rng(seed)
        self._known: Study | None = None

    def infer_relative_search_space(
        self,
        study: Study,  # noqa: ARG002
        trial: FrozenTrial,  # noqa: ARG002
    ) -> dict[str, BaseDistribution]:
        return {parameter.name: parameter.distribution for parameter in self._space.parameters}

    def sample_relative(
        self,
        study: Study,
        trial: FrozenTrial,
        search_space: dict[str, BaseDistribution],  # noqa: ARG002
    ) -> dict[str, Any]:
        fixed = trial.system_attrs.get("fixed_params", {})
        if self._is_start:
            return self._cheap(study, fixed)
        others = [
            other.params
            for other in study.get_trials(deepcopy=False)
            if other.params and other.number != trial.number
        ]
        params: dict[str, Any] = {}
        last = None
        for at_random in (False, True):
            for _ in range(_DRAWS):
                params, _ = self._draw(study, fixed, at_random=at_random)
                if params not in others:
                    return params
                if params == last and not at_random:
                    break  # the sampler has one answer
                last = params
        return params

    def _cheap(self, study: Study, fixed: Mapping[str, Any]) -> dict[str, Any]:
        """Draw until the operations of a point are accepted."""
        refused: list[tuple[float, dict[str, Any]]] = []
        for _ in range(_DRAWS):
            params, values = self._draw(study, fixed)
            cost = self._space.cost(values)
            if math.sqrt(cost) * self._rng.random() < 1:
                return params
            refused.append((cost, params))
        return min(refused, key=lambda draw: draw[0])[1]

    def sample_independent(
        self,
        study: Study,
        trial: FrozenTrial,  # noqa: ARG002
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> Any:
        return self._sampler.sample_independent(
            *self._learnt(study), param_name, param_distribution
        )

    def _draw(
        self, study: Study, fixed: Mapping[str, Any], *, at_random: bool = False
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """Draw the parameters that count, as Optuna keeps them, and the values of the point."""
        learnt, trial = self._learnt(study)
        space = self._sampler.infer_relative_search_space(learnt, trial)
        params: dict[str, Any]
        if at_random:
            params = {
                name: self._random.sample_independent(learnt, trial, name, space[name])
                for name in space
            }
        else:
            params = dict(self._sampler.sample_relative(learnt, trial, space))
        params |= fixed
        drawn: dict[str, Any] = {}

        def choose(parameter: Parameter) -> Any:
            name, among = parameter.name, parameter.distribution
            if name not in params:
                params[name] = self._sampler.sample_independent(learnt, trial, name, among)
            drawn[name] = params[name]
            return decoded(drawn[name])

        values = self._space.walk(choose)
        return drawn, values

    def _learnt(self, study: Study) -> tuple[Study, FrozenTrial]:
        """The study to learn from, and a trial in it that stands for the one that is drawn."""
        if self._known is None:
            self._known = optuna.create_study(direction=study.directions[0])
            self._known.add_trials(
                create_trial(
                    state=TrialState.COMPLETE,
                    value=self._values[trial.number],
                    params=trial.params,
                    distributions=trial.distributions,
                )
                for trial in study.get_trials(deepcopy=False)
                if trial.number in self._values
            )
            self._known.add_trial(create_trial(state=TrialState.WAITING))
        return self._known, self._known.get_trials(deepcopy=False)[-1]
