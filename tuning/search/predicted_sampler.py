"""A sampler that learns from trials which were cut early or are paused.

Optuna's samplers rank every finished trial before every other one, and do not see running ones.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import optuna
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState, create_trial

# Samplers that use only the parameters and values of a study's trials.
LEARN_FROM_STUDY = frozenset({"tpe", "gp"})


class PredictedSampler(BaseSampler):
    """Draws as `sampler` does in a study whose trials have ended with `values`, by number."""

    def __init__(self, sampler: BaseSampler, values: Mapping[int, float]) -> None:
        self._sampler = sampler
        self._values = values
        self._study: Study | None = None

    def infer_relative_search_space(
        self,
        study: Study,
        trial: FrozenTrial,  # noqa: ARG002
    ) -> dict[str, BaseDistribution]:
        space = self._sampler.infer_relative_search_space(*self._predicted(study))
        return dict(space)

    def sample_relative(
        self,
        study: Study,
        trial: FrozenTrial,  # noqa: ARG002
        search_space: dict[str, BaseDistribution],
    ) -> dict[str, Any]:
        return dict(self._sampler.sample_relative(*self._predicted(study), search_space))

    def sample_independent(
        self,
        study: Study,
        trial: FrozenTrial,  # noqa: ARG002
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> Any:
        return self._sampler.sample_independent(
            *self._predicted(study), param_name, param_distribution
        )

    def _predicted(self, study: Study) -> tuple[Study, FrozenTrial]:
        """The study to learn from, and a trial in it that stands for the one that is drawn."""
        if self._study is None:
            self._study = optuna.create_study(direction=study.directions[0])
            self._study.add_trials(
                create_trial(
                    state=TrialState.COMPLETE,
                    value=self._values[trial.number],
                    params=trial.params,
                    distributions=trial.distributions,
                )
                for trial in study.get_trials(deepcopy=False)
                if trial.number in self._values
            )
            self._study.add_trial(create_trial(state=TrialState.WAITING))
        return self._study, self._study.get_trials(deepcopy=False)[-1]
