"""The stopping rules, by hand and against Ray Tune's own."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np
import pytest
from ray.tune.schedulers import ASHAScheduler, MedianStoppingRule, TrialScheduler

from tuning.config.search import SearchConfig
from tuning.errors import ChromatuneError
from tuning.search.objectives import Objective
from tuning.search.stopping import Asha, MedianRule, make_promotion, make_rule, rungs

PSNR, MSE = Objective("val_psnr", True), Objective("val_mse", False)
LONGEST = 27

# A report: trial, epoch, best score until then.
Report = tuple[str, int, float]


def config(**changes: Any) -> SearchConfig:
    return SearchConfig(space={"model": "unet"}, **changes)


@pytest.mark.parametrize(
    ("changes", "longest", "expected"),
    [
        ({}, 9, [1, 3, 9]),
        ({}, 100, [11, 33, 99]),
        ({"grace_period": 5}, 100, [5, 15, 45]),
        ({"reduction_factor": 2.5, "grace_period": 2}, 30, [2, 5, 13]),
        ({}, 1, [1]),
        ({"scheduler": "median"}, 9, []),
        ({"objectives": ["val_psnr:max", "parameters:min"]}, 9, []),
    ],
)
def test_rungs(changes: dict[str, Any], longest: int, expected: list[int]) -> None:
    assert rungs(config(**changes), longest) == expected


def test_the_configuration_names_the_rule() -> None:
    assert isinstance(make_rule(config(scheduler="asha-stop"), 9), Asha)
    assert isinstance(make_rule(config(scheduler="median"), 9), MedianRule)
    assert make_rule(config(scheduler="none"), 9) is None
    several = ["val_psnr:max", "parameters:min"]
    assert make_rule(config(objectives=several), 9) is None
    assert isinstance(make_rule(config(objectives=several, scheduler="asha-stop"), 9), Asha)
    for scheduler in (None, "hyperband"):
        assert make_rule(config(scheduler=scheduler), 9) is None
        assert make_promotion(config(scheduler=scheduler), 9) is not None
    assert make_promotion(config(scheduler="asha-stop"), 9) is None


@pytest.mark.parametrize("scheduler", ["asha", "hyperband", "asha-stop", "median"])
def test_a_grace_period_beyond_the_longest_training_is_refused(scheduler: str) -> None:
    with pytest.raises(ChromatuneError, match="the longest training has 9 epochs"):
        make_rule(config(scheduler=scheduler, grace_period=10), 9)


def asked_of(search: SearchConfig, objective: Objective) -> Callable[[str, int, float], bool]:
    """Let the rule decide by all that was reported."""
    rule = make_rule(search, LONGEST)
    assert rule is not None
    reported: dict[str, dict[int, float]] = {}

    def stops(name: str, epoch: int, score: float) -> bool:
        own = reported.setdefault(name, {})
        own[epoch] = objective.sign * score
        return rule.stops(own, [scores for other, scores in reported.items() if other != name])

    return stops


def test_asha_keeps_the_best_third_of_those_before() -> None:
    stops = asked_of(config(scheduler="asha-stop", grace_period=1), PSNR)
    assert not stops("a", 1, 30.0)  # nothing to compare with
    assert stops("b", 1, 29.0)
    assert not stops("c", 1, 31.0)
    assert not stops("a", 2, 30.0)  # between rungs
    assert not stops("a", 3, 30.0)  # the first at the next rung
    assert stops("c", 4, 29.9)  # which counts for any later epoch
    assert not stops("c", 5, 29.9)  # once


def test_the_median_is_that_of_three_others_at_least() -> None:
    stops = asked_of(config(scheduler="median", grace_period=2), MSE)
    for name, scores in {"a": (9.0, 4.0), "b": (9.0, 2.0), "c": (9.0, 3.0)}.items():
        for epoch, score in enumerate(scores, start=1):
            assert not stops(name, epoch, score)
    assert not stops("d", 1, 99.0)  # grace
    assert stops("d", 2, 3.1)  # the median of 2, 3 and 4 is 3: smaller is better
    assert not stops("e", 2, 2.9)


def curves(seed: int, objective: Objective) -> Iterator[Report]:
    """Trials that come and go, validated every few epochs, some better than others."""
    rng = np.random.default_rng(seed)
    sign = 1.0 if objective.maximize else -1.0
    waiting = [f"trial {number}" for number in range(rng.integers(4, 16))]
    running: dict[str, Iterator[tuple[int, float]]] = {}
    while waiting or running:
        while waiting and len(running) < 4:
            running[waiting.pop(0)] = _curve(rng, sign)
        name = str(rng.choice(list(running)))
        report = next(running[name], None)
        if report is None:
            del running[name]
            continue
        yield name, *report


def _curve(rng: np.random.Generator, sign: float) -> Iterator[tuple[int, float]]:
    level, speed, every = rng.normal(30, 2), rng.uniform(0, 0.3), int(rng.integers(1, 4))
    best = -math.inf
    for epoch in range(1, LONGEST + 1):
        if epoch == 1 or epoch % every == 0 or epoch == LONGEST:
            best = max(best, level + speed * epoch + rng.normal(0, 0.5))
            yield epoch, sign * round(best, 2)  # equal scores happen too


def decisions(reports: Iterable[Report], stops: Callable[[str, int, float], bool]) -> list[Report]:
    """The reports at which trials were stopped; a stopped trial reports no more."""
    stopped: dict[str, Report] = {}
    for name, epoch, score in reports:
        if name not in stopped and stops(name, epoch, score):
            stopped[name] = (name, epoch, score)
    return list(stopped.values())


class RayTrial:
    """What Ray Tune's schedulers look at of a trial."""

    def __init__(self, name: str) -> None:
        self.trial_id = name

    def __repr__(self) -> str:
        return self.trial_id


def ray_tunes(search: SearchConfig, objective: Objective) -> Callable[[str, int, float], bool]:
    """Let Ray Tune's own scheduler decide."""
    trials: dict[str, RayTrial] = {}
    scheduler: Any = MedianStoppingRule(
        *("training_iteration", None, None, search.grace_period),
        min_samples_required=3,
        min_time_slice=math.inf,
    )
    if search.scheduler == "asha-stop":
        scheduler = ASHAScheduler(
            max_t=LONGEST,
            grace_period=search.grace_period,
            reduction_factor=search.reduction_factor,
            stop_last_trials=False,
        )
    scheduler.set_search_properties("score", objective.direction[:3])

    def stops(name: str, epoch: int, score: float) -> bool:
        if name not in trials:
            trials[name] = RayTrial(name)
            scheduler.on_trial_add(None, trials[name])
        result = {"training_iteration": epoch, "score": score}
        decision = scheduler.on_trial_result(None, trials[name], result)
        assert decision in (TrialScheduler.CONTINUE, TrialScheduler.STOP)
        return bool(decision == TrialScheduler.STOP)

    return stops


@pytest.mark.parametrize("objective", [PSNR, MSE], ids=str)
@pytest.mark.parametrize("rule", ["asha-stop", "median"])
def test_decisions_are_those_of_ray_tune(rule: str, objective: Objective) -> None:
    stopped = 0
    for seed in range(30):
        factor = (2, 3, 4)[seed % 3]
        search = config(scheduler=rule, grace_period=1 + seed % 5, reduction_factor=factor)
        expected = decisions(curves(seed, objective), ray_tunes(search, objective))
        ours = decisions(curves(seed, objective), asked_of(search, objective))
        assert ours == expected, f"seed {seed}"
        stopped += len(expected)
    assert stopped > 30
