"""Which of two figures wins."""

from __future__ import annotations

import math

import pytest

from tests.tuning.training.builders import MakeData
from tuning.training.metrics import constant_baseline
from tuning.training.tasks import CRITERIA, higher_is_better

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


@pytest.mark.parametrize("task", CRITERIA)
def test_every_metric_of_a_validation_is_named_with_its_direction(
    task: str, make_data: MakeData
) -> None:
    data = make_data(task, val=7)  # a picture fewer has no SSIM as in the original paper
    names = [f"val_{name}" for name in CRITERIA[task].metrics]
    assert sorted(names) == sorted(constant_baseline(data.val, data.baseline_ab, task))
    best = data.val.mean_ab.mean(axis=0)
    better, worse = (
        constant_baseline(data.val, (best[0] + shift, best[1] + shift), task)
        for shift in (0.0, 0.4)
    )
    for name in names:
        # A shifted constant has the same structure, and another colorfulness.
        if "ssim" not in name and "colorfulness" not in name:
            assert (better[name] > worse[name]) is higher_is_better(name), name
    assert higher_is_better("val_ssim_rgb")
    assert higher_is_better("val_colorfulness")
    assert not higher_is_better("val_colorfulness_difference")
