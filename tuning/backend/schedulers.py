"""Ray's schedulers for a search: which trials are cut short, and when."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

from optuna.distributions import FloatDistribution
from ray import tune
from ray.tune.schedulers import (
    ASHAScheduler,
    FIFOScheduler,
    MedianStoppingRule,
    PopulationBasedTraining,
    TrialScheduler,
)

from tuning.config.search import MUTABLE, SearchConfig
from tuning.errors import ChromatuneError
from tuning.search.objectives import Objective
from tuning.search.space import Space

# A rung three times as high keeps a third: the first lies where two more can follow.
_RUNGS_ABOVE_THE_FIRST = 2


def make_scheduler(search: SearchConfig, space: Space, objective: Objective) -> TrialScheduler:
    """Build the scheduler; it judges by the best value so far, at the epochs that are validated.

    Raises ChromatuneError for a grace period or an interval beyond the longest training, and where
    PBT has nothing to change.
    """
    judged = {"time_attr": "epoch", "mode": "max" if objective.maximize else "min"}
    longest = space.most_epochs
    match search.chosen_scheduler:
        case "none":
            return FIFOScheduler()
        case "asha":
            asha = ASHAScheduler(
                **judged,
                metric="score",
                max_t=longest,
                grace_period=first_rung(search, longest),
                reduction_factor=search.reduction_factor,
                # A training that reaches its last epoch has ended by itself.
                stop_last_trials=False,
            )
            return NamedTrials(asha)
        case "median":
            median = MedianStoppingRule(
                **judged,
                metric="score",
                grace_period=first_rung(search, longest),
                # It would pause trials to let waiting ones on; here none is handed out to wait.
                min_time_slice=math.inf,
            )
            return NamedTrials(median)
        case "pbt":
            interval = perturbation_interval(search, space)
            _check_within("perturbation_interval", interval, longest)
            return PopulationBasedTraining(
                **judged,
                # Weights are taken over as they are now, so by what they are worth now.
                metric="value",
                perturbation_interval=interval,
                hyperparam_mutations={"hand_out": {"training": {"params": mutations(space)}}},
                custom_explore_fn=_Clipped(space),
                require_attrs=False,
                log_config=False,
            )


def perturbation_interval(search: SearchConfig, space: Space) -> int:
    """Epochs after which PBT looks at a trial again, by default a fifth of the longest."""
    return search.perturbation_interval or max(1, space.most_epochs // 5)


def first_rung(search: SearchConfig, longest: int) -> int:
    """The epoch before which no trial is cut: the grace period, or else a share of the longest."""
    if search.grace_period is not None:
        _check_within("grace_period", search.grace_period, longest)
        return search.grace_period
    return max(1, round(longest / search.reduction_factor**_RUNGS_ABOVE_THE_FIRST))


def rungs(search: SearchConfig, longest: int) -> list[int]:
    """The epochs at which ASHA compares trials; none of another scheduler."""
    if search.chosen_scheduler != "asha":
        return []
    found = [float(first_rung(search, longest))]
    while found[-1] * search.reduction_factor <= longest:
        found.append(found[-1] * search.reduction_factor)
    return [math.ceil(rung) for rung in found]


def mutations(space: Space) -> dict[str, Any]:
    """What PBT may change of a running training, with the distributions of the space.

    Raises ChromatuneError if that is nothing, or if trials differ in anything else: one that takes
    over another's weights would have to become another network.
    """
    others = [name for name in space.names if name not in MUTABLE]
    if others:
        raise ChromatuneError(
            f"the scheduler pbt lets trials take over each other's weights, so that they may "
            f"differ in {' and '.join(MUTABLE)} alone: make {', '.join(others)} constants"
        )
    found = {
        parameter.name: (tune.loguniform if parameter.distribution.log else tune.uniform)(
            parameter.distribution.low, parameter.distribution.high
        )
        for parameter in space.parameters
        if parameter.name in MUTABLE and isinstance(parameter.distribution, FloatDistribution)
    }
    if not found:
        raise ChromatuneError(
            f"the scheduler pbt changes {' and '.join(MUTABLE)} of running trainings, but the "
            f"space gives neither a range: make one `type: float`, or take another scheduler"
        )
    return found


class NamedTrials(FIFOScheduler):
    """Lets a scheduler of Ray's know trials by their names, which outlive Ray's own ids.

    So a training that is gone on with after an interruption keeps its place among the others, and
    `replay` shows a new scheduler what the last one had seen.
    """

    def __init__(self, scheduler: TrialScheduler) -> None:
        super().__init__()
        self._scheduler = scheduler

    def __getstate__(self) -> dict[str, Any]:
        return {}  # Ray pickles it into the experiment folder, where nobody reads it

    def replay(self, name: str, scores: Mapping[int, float]) -> None:
        """Show the best values that a training had after its epochs."""
        trial = _Named(name)
        self._scheduler.on_trial_add(None, trial)
        for epoch in sorted(scores):
            result = {"epoch": epoch, "score": scores[epoch]}
            self._scheduler.on_trial_result(_NobodyWaits(), trial, result)

    def on_trial_add(self, tune_controller: Any, trial: Any) -> None:
        self._scheduler.on_trial_add(tune_controller, _Named(str(trial)))

    def on_trial_result(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> str:
        return str(self._scheduler.on_trial_result(tune_controller, _Named(str(trial)), result))

    def on_trial_complete(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> None:
        self._scheduler.on_trial_complete(tune_controller, _Named(str(trial)), result)

    def on_trial_remove(self, tune_controller: Any, trial: Any) -> None:
        self._scheduler.on_trial_remove(tune_controller, _Named(str(trial)))

    def on_trial_error(self, tune_controller: Any, trial: Any) -> None:
        self._scheduler.on_trial_error(tune_controller, _Named(str(trial)))


@dataclasses.dataclass(frozen=True)
class _Named:
    """All that ASHA and the median rule know of a trial."""

    trial_id: str


class _NobodyWaits:
    def get_live_trials(self) -> list[Any]:
        return []


class _Clipped:
    """Keeps what PBT has changed within the space."""

    def __init__(self, space: Space) -> None:
        self._ranges = {
            one.name: (one.distribution.low, one.distribution.high)
            for one in space.parameters
            if one.name in MUTABLE and isinstance(one.distribution, FloatDistribution)
        }

    def __call__(self, config: dict[str, Any]) -> dict[str, Any]:
        params = config["hand_out"]["training"]["params"]
        for name, (low, high) in self._ranges.items():
            params[name] = min(max(params[name], low), high)
        return config


def _check_within(name: str, value: int, longest: int) -> None:
    if value > longest:
        raise ChromatuneError(
            f"search.{name} is {value}, but the longest training has {longest} epochs"
        )
