"""Which of two figures wins."""

from __future__ import annotations

import math

import pytest

from tuning.training.tasks import CRITERIA

INF, NAN = math.inf, math.nan


@pytest.mark.parametrize(
    ("task", "value", "other", "wins"),
    [
        ("regression", 1.0, 2.0, True),
        ("regression", 2.0, 1.0, False),
        ("colorizer", 2.0, 1.0, True),
        ("regression", 1.0, 1.0, False),
        ("regression", 1.0, NAN, True),
        ("regression", -INF, 1.0, False),
        ("colorizer", NAN, NAN, False),
    ],
)
def test_the_better_one_wins(task: str, value: float, other: float, wins: bool) -> None:
    assert CRITERIA[task].better(value, other) is wins


def test_reads_the_figure_of_the_split() -> None:
    metrics = {"val_mse": 1.0, "test_mse": 2.0}
    assert CRITERIA["regression"].value(metrics, "test_") == 2.0
    assert math.isnan(CRITERIA["colorizer"].value(metrics, "val_"))
