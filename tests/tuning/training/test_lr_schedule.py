"""Learning rates against the shapes they are named after."""

from __future__ import annotations

import math

import pytest

from tuning.training.config import FitConfig
from tuning.training.lr_schedule import learning_rate
from tuning.training.options import Schedule


def rates(schedule: Schedule, warmup: float, steps: int = 1000) -> list[float]:
    config = FitConfig(
        model="unet", head="tanh", lr=0.5, milestones=(4,), schedule=schedule, warmup=warmup
    )
    return [learning_rate(config, step / steps) for step in range(steps)]


def test_a_constant_rate_is_the_very_number_given() -> None:
    assert set(rates("constant", 0.0)) == {0.5}


def test_a_warm_up_rises_linearly_from_nothing() -> None:
    rising = rates("constant", 0.25)
    assert rising[0] == 0
    assert rising[125] == pytest.approx(0.25)
    assert set(rising[250:]) == {0.5}


def test_a_cosine_falls_to_nothing() -> None:
    falling = rates("cosine", 0.0)
    assert falling[0] == 0.5
    assert falling[500] == pytest.approx(0.25)
    assert falling[250] == pytest.approx(0.5 * (1 + math.cos(math.pi / 4)) / 2)
    assert falling[-1] < 1e-5
    assert falling == sorted(falling, reverse=True)
    assert rates("cosine", 0.2)[600] == pytest.approx(0.25)


def test_one_cycle_rises_from_a_25th_and_falls_to_a_10_000th() -> None:
    cycle = rates("onecycle", 0.3)
    assert cycle[0] == pytest.approx(0.5 / 25)
    assert cycle[150] == pytest.approx((0.5 + 0.02) / 2)
    assert max(cycle) == cycle[300] == 0.5
    assert cycle[650] == pytest.approx((0.5 + 0.00005) / 2)
    assert cycle[-1] == pytest.approx(0.00005, rel=0.1)
