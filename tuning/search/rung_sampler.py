"""A sampler that learns from trials which were cut early or are paused, and repeats no point.

Optuna's samplers rank every finished trial before every other one, and do not see running ones.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import optuna
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler, RandomSampler
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState, create_trial

from tuning.config.search import SearchConfig
from tuning.search.priors import PriorSampler
from tuning.search.samplers import make_sampler
from tuning.search.space import Parameter

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
    parameters: Sequence[Parameter],
    values: Mapping[int, float],
    sign: float = 1.0,
) -> BaseSampler:
    """Build the sampler for the next trial, with the priors of the parameters.

    `values` are comparable scores of trials by number, larger ones better; `sign` is -1 where
    smaller values of the objective are. Where trials pause, TPE and GP learn from `values` alone.
    """
    start = startup_trials(search, parameters)
    sampler: BaseSampler
    if search.pauses_trials and search.sampler in _LEARN_FROM_STUDY:
        sampler = make_sampler(search, seed, n_startup_trials=start)
        sampler = RungSampler(sampler, {n: sign * value for n, value in values.items()}, seed)
    else:
        sampler = make_sampler(search, seed)
    priors = {p.name: (p.distribution, p.prior) for p in parameters if p.prior is not None}
    return PriorSampler(sampler, priors, values, start, seed) if priors else sampler


class RungSampler(BaseSampler):
    """Draws as `sampler` does in a study whose trials have ended with `values`, by number.

    A point that another trial has is drawn again, in the end at random: in a finite space a sampler
    soon repeats the best ones.
    """

    def __init__(self, sampler: BaseSampler, values: Mapping[int, float], seed: int) -> None:
        self._sampler = sampler
        self._values = values
        self._random = RandomSampler(seed)
        self._known: Study | None = None

    def infer_relative_search_space(
        self,
        study: Study,
        trial: FrozenTrial,  # noqa: ARG002
    ) -> dict[str, BaseDistribution]:
        space = self._sampler.infer_relative_search_space(*self._learnt(study))
        return dict(space)

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        others = [
            other.params
            for other in study.get_trials(deepcopy=False)
            if other.params and other.number != trial.number
        ]
        params: dict[str, Any] = {}
        for params in self._draws(study, search_space):
            if params not in others:
                break
        return params

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

    def _draws(self, study: Study, space: dict[str, BaseDistribution]) -> Iterator[dict[str, Any]]:
        learnt, trial = self._learnt(study)
        last = None
        for _ in range(_DRAWS):
            drawn = dict(self._sampler.sample_relative(learnt, trial, space))
            if drawn == last:
                break  # the sampler has one answer
            yield (last := drawn)
        for _ in range(_DRAWS):
            yield {
                name: self._random.sample_independent(learnt, trial, name, among)
                for name, among in space.items()
            }

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
