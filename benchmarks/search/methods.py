"""The search methods that are compared, each in a few lines on its own library."""

from __future__ import annotations

import dataclasses
import functools
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, IntDistribution
from optuna.pruners import BasePruner, HyperbandPruner, NopPruner
from optuna.samplers import BaseSampler, GPSampler, RandomSampler, TPESampler
from optuna.trial import FrozenTrial, Trial, create_trial

from benchmarks.search.curves import (
    COMMON,
    EPOCHS,
    IMAGE_SIZE,
    MODEL_KWARGS,
    SPACES,
    Curves,
    Point,
    points,
)
from benchmarks.search.simulator import Method, Step
from tuning.config.search import SearchConfig
from tuning.launch.trainings import Operations
from tuning.search.priors import Prior
from tuning.search.promotion import Trained
from tuning.search.rung_sampler import make_space_sampler, startup_trials
from tuning.search.samplers import seed_of
from tuning.search.space import Parameter, Space
from tuning.search.stopping import Asha, make_promotion, rungs
from tuning.training.config import FitConfig


def distributions(space: str) -> dict[str, BaseDistribution]:
    """The space for Optuna: indices into the choices, ordered where their values are."""
    return {
        name: _distribution(choices) for name, choices in SPACES[space].items() if len(choices) > 1
    }


def _distribution(choices: Any) -> BaseDistribution:
    indices = range(len(choices))
    is_ordered = len(choices) > 2 and not isinstance(choices[0], str)
    return IntDistribution(0, len(choices) - 1) if is_ordered else CategoricalDistribution(indices)


class _Study:
    """An in-memory study over a recorded space; trials are numbered as Optuna does."""

    def __init__(self, space: str, seed: int, sampler: BaseSampler, pruner: BasePruner) -> None:
        self._choices, self._seed = SPACES[space], seed
        self._numbers = {_key(point): number for number, point in enumerate(points(space))}
        self._space = distributions(space)
        self._trials: dict[int, Trial | FrozenTrial] = {}
        self._scores: dict[int, dict[int, float]] = {}
        with warnings.catch_warnings(action="ignore"):
            self._study = optuna.create_study(
                direction="maximize", sampler=sampler, pruner=pruner, study_name="search"
            )

    def know(self, point: Point, scores: Sequence[float]) -> None:
        """Tell of a whole training before the search: the sampler learns from it."""
        self._study.add_trial(
            create_trial(
                value=max(scores),
                params={name: self._choices[name].index(point[name]) for name in self._space},
                distributions=self._space,
            )
        )

    def _new(self) -> int:
        with warnings.catch_warnings(action="ignore"):
            trial = self._study.ask(self._space)
        self._trials[trial.number] = trial
        self._scores[trial.number] = {}
        return int(trial.number)

    def _step(self, number: int, epoch: int) -> Step:
        params = self._trials[number].params
        point = {name: among[params.get(name, 0)] for name, among in self._choices.items()}
        return Step(number, self._numbers[_key(point)], epoch)

    def _take_in(self, step: Step, scores: Mapping[int, float]) -> None:
        best = max(self._scores[step.trial].values(), default=float("-inf"))
        for epoch, score in scores.items():
            best = max(best, score)
            self._scores[step.trial][epoch] = best
            self._trials[step.trial].report(best, epoch)

    def _end(self, number: int, *, is_pruned: bool = False) -> None:
        state = optuna.trial.TrialState.PRUNED if is_pruned else None
        value = None if is_pruned else max(self._scores[number].values())
        self._study.tell(number, value, state=state)


class Stopping(_Study):
    """Optuna's sampler, and a rule that stops trials at epochs in `checked`."""

    def __init__(
        self,
        space: str,
        seed: int,
        sampler: BaseSampler,
        pruner: BasePruner | None = None,
        checked: tuple[int, ...] = (),
        rule: Asha | None = None,
    ) -> None:
        super().__init__(space, seed, sampler, pruner or NopPruner())
        self._checked = (*(epoch for epoch in checked if epoch < EPOCHS), EPOCHS)
        self._rule = rule
        self._continued: list[int] = []

    def ask(self) -> Step:
        number = self._continued.pop() if self._continued else self._new()
        reached = max(self._scores[number], default=0)
        return self._step(number, next(epoch for epoch in self._checked if epoch > reached))

    def tell(self, step: Step, scores: Mapping[int, float], seconds: float) -> None:  # noqa: ARG002
        self._take_in(step, scores)
        if step.epoch == EPOCHS:
            self._end(step.trial)
        elif self._stops(step.trial):
            self._end(step.trial, is_pruned=True)
        else:
            self._continued.append(step.trial)

    def _stops(self, number: int) -> bool:
        if self._rule is None:
            return bool(self._trials[number].should_prune())
        others = [scores for other, scores in self._scores.items() if other != number and scores]
        return self._rule.stops(self._scores[number], others)


class _Indices(Space):
    """A recorded space, whose values are places in its choices; `training` has the choices."""

    def walk(self, choose: Callable[[Parameter], Any]) -> dict[str, Any]:
        return {parameter.name: choose(parameter) for parameter in self.parameters}

    def cost(self, values: Mapping[str, Any]) -> float:
        if "model" not in values:
            return 1.0
        operations = [_operations(model) for model in self.training["model"]]
        own: int = operations[values["model"]]
        return own / min(operations)


class _EqualCosts(_Indices):
    def cost(self, values: Mapping[str, Any]) -> float:  # noqa: ARG002
        return 1.0


@functools.cache
def _operations(model: str) -> int:
    fit = FitConfig(
        **COMMON,
        model=model,
        head="tanh",
        lr=1.0,
        milestones=(1,),
        model_kwargs=MODEL_KWARGS[model],
    )
    return Operations().of(fit)


class Ours(_Study):
    """What `chromatune search` does, by the same objects; with priors if a point is `expected`."""

    def __init__(
        self,
        space: str,
        seed: int,
        expected: Point | None = None,
        indices: type[Space] = _Indices,
        **search: Any,
    ) -> None:
        self._search = SearchConfig(space={"model": "autoencoder"}, **search)
        super().__init__(space, seed, RandomSampler(), NopPruner())
        promotion = make_promotion(self._search, EPOCHS)
        assert promotion is not None
        self._promotion = promotion
        parameters = [Parameter(name, among) for name, among in self._space.items()]
        if expected is not None:
            point = {name: self._choices[name].index(expected[name]) for name in self._space}
            parameters = [
                dataclasses.replace(each, prior=Prior(point[each.name], "medium"))
                for each in parameters
            ]
            self._study.enqueue_trial(point)
        self._points = indices("colorizer", IMAGE_SIZE, tuple(parameters), {}, SPACES[space])
        self._running: set[int] = set()

    def know(self, point: Point, scores: Sequence[float]) -> None:
        """Tell of a whole training: it is also compared at the rungs."""
        super().know(point, scores)
        known = self._study.trials[-1]
        self._trials[known.number] = known
        best = np.maximum.accumulate(scores).tolist()
        self._scores[known.number] = dict(enumerate(best, 1))

    def ask(self) -> Step:
        trained = [self._trained(number) for number in self._trials]
        chosen = self._promotion.choose(trained)
        if chosen is None:
            start = startup_trials(self._search, self._points.parameters)
            self._study.sampler = make_space_sampler(
                self._search,
                seed_of(self._seed, len(self._trials)),
                self._points,
                self._promotion.comparable(trained, start),
            )
            number = self._new()
        else:
            number = chosen.number
        self._running.add(number)
        return self._step(number, self._promotion.next_rung(self._trained(number)))

    def tell(self, step: Step, scores: Mapping[int, float], seconds: float) -> None:  # noqa: ARG002
        self._take_in(step, scores)
        self._running.discard(step.trial)

    def _trained(self, number: int) -> Trained:
        scores = self._scores[number]
        is_paused = number not in self._running and 0 < max(scores, default=0) < EPOCHS
        judged_from = self._promotion.judged_from(number, 0.0, EPOCHS)
        return Trained(number, scores, EPOCHS, judged_from, is_paused)


def best_point(dataset: str, space: str, *, worst: bool = False) -> Point:
    """The recorded point with the best mean over seeds."""
    means = np.max(Curves.whole(dataset, space).psnr, axis=2).mean(axis=1)
    return points(space)[int(np.argmin(means) if worst else np.argmax(means))]


def _best_elsewhere(dataset: str, space: str) -> Point:
    return best_point({"faces": "ncd", "ncd": "faces"}[dataset], space)


def stopping_asha(space: str, seed: int) -> Stopping:
    """Optuna's TPE and Ray Tune's ASHA, as searches were before trials paused."""
    search = SearchConfig(space={"model": "autoencoder"}, scheduler="asha-stop")
    checked = rungs(search, EPOCHS)
    rule = Asha(checked, search.reduction_factor)
    return Stopping(space, seed, _tpe(seed), checked=tuple(checked), rule=rule)


def _hyperband_pruner(space: str, seed: int) -> Method:
    pruner = HyperbandPruner(min_resource=1, max_resource=EPOCHS, reduction_factor=3)
    return Stopping(space, seed, _tpe(seed), pruner, (1, 3, 9))


def _tpe(seed: int) -> TPESampler:
    with warnings.catch_warnings(action="ignore"):
        return TPESampler(seed=seed, multivariate=True, group=True)


# As if all networks cost the same: the default where there is one network.
EQUAL_COSTS = "Chromatune, tpe, asha, equal costs"

METHODS: Mapping[str, Callable[[str, int], Method]] = {
    "random search": lambda space, seed: Stopping(space, seed, RandomSampler(seed)),
    "Optuna, TPE": lambda space, seed: Stopping(space, seed, _tpe(seed)),
    "Optuna, GP": lambda space, seed: Stopping(space, seed, GPSampler(seed=seed)),
    "Optuna, TPE, Hyperband pruner": _hyperband_pruner,
    "TPE, stopping ASHA of Ray Tune": stopping_asha,
    "Chromatune, tpe, hyperband": lambda s, seed: Ours(s, seed, scheduler="hyperband"),
    "Chromatune, gp, asha": lambda space, seed: Ours(space, seed, sampler="gp"),
    EQUAL_COSTS: lambda space, seed: Ours(space, seed, indices=_EqualCosts),
    "Chromatune, tpe, asha (default)": Ours,
}

# What `prior` expects, by dataset and space.
WITH_PRIORS: Mapping[str, Callable[[str, str], Point]] = {
    "Chromatune, prior: best of the other dataset": _best_elsewhere,
    "Chromatune, prior: worst point": functools.partial(best_point, worst=True),
}


def _key(point: Point) -> tuple[Any, ...]:
    return tuple(point.values())
