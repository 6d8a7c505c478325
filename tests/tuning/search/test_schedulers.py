"""When trials are cut, tried against scripted learning curves: no training, no Ray started."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pytest
import yaml
from ray.tune.schedulers import FIFOScheduler, PopulationBasedTraining, TrialScheduler
from tuning.backend.schedulers import NamedTrials, first_rung, make_scheduler, rungs

from tuning.config.search import SearchConfig
from tuning.errors import ChromatuneError
from tuning.search.objectives import Objective

MakeSpace = Callable[..., Any]
PSNR = Objective("val_psnr", maximize=True)
MSE = Objective("val_mse", maximize=False)


class Trial:
    """What a scheduler sees of a trial of Ray's."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.trial_id = f"{name}-of-ray"

    def __str__(self) -> str:
        return self.name


def config(**search: Any) -> SearchConfig:
    return SearchConfig(space={"lr": 1}, **search)


def cuts(
    scheduler: Any, curves: Mapping[str, Sequence[float]], objective: Objective = PSNR
) -> dict[str, int]:
    """Run trials one after the other on scripted values; the epoch at which each is cut."""
    found = {}
    for name, values in curves.items():
        trial = Trial(name)
        scheduler.on_trial_add(None, trial)
        best = values[0]
        for epoch, value in enumerate(values, start=1):
            best = value if objective.better(value, best) else best
            result = {"epoch": epoch, "score": best}
            if scheduler.on_trial_result(_Controller(), trial, result) == TrialScheduler.STOP:
                found[name] = epoch
                break
        scheduler.on_trial_complete(None, trial, {"epoch": epoch, "score": best})
    return found


class _Controller:
    def get_live_trials(self) -> list[Any]:
        return []


RISING = {
    "good": [30 + epoch for epoch in range(1, 10)],
    "better": [31 + epoch for epoch in range(1, 10)],
    "bad": [20 + epoch for epoch in range(1, 10)],
    "late": [31.5, 31.6, 31.7, 32, 33, 34, 35, 36, 37],
}


def test_asha_cuts_at_its_rungs_what_is_not_among_the_best_third(space_of: MakeSpace) -> None:
    search = config(scheduler="asha")
    assert rungs(search, 9) == [1, 3, 9]
    asha = make_scheduler(search, space_of(), PSNR)
    assert isinstance(asha, NamedTrials)
    # `late` passes the rung of epoch 1 among (31, 32, 21) by beating the upper third's bound, and
    # falls at that of epoch 3, among (33, 34).
    assert cuts(asha, RISING) == {"bad": 1, "late": 3}


def test_asha_minimizes_where_less_is_better(space_of: MakeSpace) -> None:
    curves = {name: [10 ** (-value / 10) for value in values] for name, values in RISING.items()}
    asha = make_scheduler(config(scheduler="asha"), space_of(), MSE)
    assert cuts(asha, curves, MSE) == {"bad": 1, "late": 3}


def test_what_reaches_its_last_epoch_has_ended_by_itself(space_of: MakeSpace) -> None:
    asha = make_scheduler(config(scheduler="asha"), space_of(), PSNR)
    assert cuts(asha, {"only": RISING["good"]}) == {}


def test_a_grace_period_protects_slow_starters(space_of: MakeSpace) -> None:
    asha = make_scheduler(config(scheduler="asha", grace_period=5), space_of(), PSNR)
    assert cuts(asha, RISING) == {"bad": 5, "late": 5}


def test_a_new_scheduler_that_is_shown_the_past_decides_as_the_old_one(
    space_of: MakeSpace,
) -> None:
    search = config(scheduler="asha")
    whole = cuts(make_scheduler(search, space_of(), PSNR), RISING)
    resumed: Any = make_scheduler(search, space_of(), PSNR)
    for name in ("good", "better"):
        resumed.replay(name, dict(enumerate(RISING[name], start=1)))
    later = {name: RISING[name] for name in ("bad", "late")}
    assert cuts(resumed, later) == whole


def test_a_training_that_is_gone_on_with_counts_once(space_of: MakeSpace) -> None:
    asha: Any = make_scheduler(config(scheduler="asha"), space_of(), PSNR)
    asha.replay("good", dict(enumerate(RISING["good"][:4], start=1)))
    # The same training under another id of Ray's: if it counted anew, it would compete with itself.
    trial = Trial("good")
    trial.trial_id = "another"
    asha.on_trial_add(None, trial)
    result = {"epoch": 5, "score": 20.0}
    assert asha.on_trial_result(None, trial, result) == TrialScheduler.CONTINUE


def test_the_median_rule_cuts_what_is_worse_than_most(space_of: MakeSpace) -> None:
    search = config(scheduler="median", grace_period=2)
    curves = {f"good {index}": RISING["good"] for index in range(3)} | {"bad": RISING["bad"]}
    median = make_scheduler(search, space_of(), PSNR)
    assert cuts(median, curves) == {"bad": 2}
    resumed: Any = make_scheduler(search, space_of(), PSNR)
    for index in range(3):
        resumed.replay(f"good {index}", dict(enumerate(RISING["good"], start=1)))
    assert cuts(resumed, {"bad": RISING["bad"]}) == {"bad": 2}


def test_none_cuts_nothing(space_of: MakeSpace) -> None:
    scheduler = make_scheduler(config(scheduler="none"), space_of(), PSNR)
    assert type(scheduler) is FIFOScheduler
    assert cuts(scheduler, RISING) == {}


def test_with_several_objectives_nothing_is_cut_unless_it_is_asked_for() -> None:
    several = ["val_psnr:max", "parameters:min"]
    assert config(objectives=several).chosen_scheduler == "none"
    assert config(objectives=several, scheduler="asha").chosen_scheduler == "asha"
    assert config().chosen_scheduler == "asha"


@pytest.mark.parametrize(
    ("longest", "reduction", "first"), [(9, 3, 1), (20, 3, 2), (100, 3, 11), (100, 4, 6), (1, 3, 1)]
)
def test_two_rungs_fit_above_the_first(longest: int, reduction: float, first: int) -> None:
    search = config(scheduler="asha", reduction_factor=reduction)
    assert first_rung(search, longest) == first
    assert all(rung <= longest for rung in rungs(search, longest))


def test_a_grace_period_beyond_the_end_is_refused(space_of: MakeSpace) -> None:
    with pytest.raises(ChromatuneError, match="grace_period is 10, but the longest training has 9"):
        make_scheduler(config(scheduler="asha", grace_period=10), space_of(), PSNR)


FIXED = {"model": "autoencoder", "head": "tanh", "batch_size": 8, "model_kwargs__width": None}


def test_pbt_changes_the_learning_rate_within_the_space(space_of: MakeSpace) -> None:
    space = space_of(**FIXED)
    pbt = make_scheduler(config(scheduler="pbt", sampler="random"), space, PSNR)
    assert isinstance(pbt, PopulationBasedTraining)
    random.seed(0)
    np.random.seed(0)
    donor = {"hand_out": {"training": {"params": {"lr": 9e-3, "batch_size": 8}}, "attempt": 1}}
    rates = set()
    for _ in range(30):
        changed, _ = pbt._get_new_config(Trial("a"), _Donor(donor))
        params = changed["hand_out"]["training"]["params"]
        assert params["batch_size"] == 8
        assert changed["hand_out"]["attempt"] == 1
        assert 1e-4 <= params["lr"] <= 1e-2
        rates.add(params["lr"])
    assert len(rates) > 3
    assert 1e-2 in rates  # 9e-3 * 1.2 is brought back into the space
    assert json.loads(json.dumps(donor))["hand_out"]["training"]["params"]["lr"] == 9e-3


class _Donor:
    def __init__(self, config: dict[str, Any]) -> None:
        self.config = config


def test_pbt_needs_something_to_change(space_of: MakeSpace) -> None:
    search = config(scheduler="pbt", sampler="random")
    with pytest.raises(ChromatuneError, match="gives neither a range"):
        make_scheduler(search, space_of(**FIXED, lr=1e-3), PSNR)
    with pytest.raises(ChromatuneError, match="make model, head, batch_size"):
        make_scheduler(search, space_of(), PSNR)


def test_a_scheduler_is_pickled_without_what_it_knows(space_of: MakeSpace) -> None:
    asha = make_scheduler(config(scheduler="asha"), space_of(), PSNR)
    assert asha.__getstate__() == {}
    assert yaml.safe_load("1e-3") == "1e-3"
