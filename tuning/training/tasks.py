"""What a task is: what its models predict, and which metric decides between two of them."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping
from typing import Any, Literal, get_args

from tuning.errors import ChromatuneError, nearest

Task = Literal["regression", "colorizer"]

TASKS: tuple[Task, ...] = get_args(Task)


@dataclasses.dataclass(frozen=True)
class Criterion:
    """The metric that a task is decided by, without its `val_` or `test_` prefix.

    `predicts_planes` says whether models of the task predict the a and b planes of an image, or
    only their means. `metrics` are all that `evaluate` measures beside registered ones,
    `equivalents` those that rank models in the same order as this one, `headline` the few that
    describe a model, `tabled` those of a table of test results; all these without prefix.
    """

    name: str
    higher_is_better: bool
    predicts_planes: bool
    equivalents: tuple[str, ...]
    metrics: tuple[str, ...]
    headline: tuple[str, ...]
    tabled: tuple[str, ...]

    def value(self, metrics: Mapping[str, float], prefix: str) -> float:
        """Return the metric of `metrics`, NaN if it is missing."""
        return float(metrics.get(f"{prefix}{self.name}", math.nan))

    def better(self, value: float, other: float) -> bool:
        """Return whether `value` beats `other`: an equal or non-finite value never does."""
        if not math.isfinite(value):
            return False
        if not math.isfinite(other):
            return True
        return value > other if self.higher_is_better else value < other

    def sort_key(self, value: float) -> float:
        """Return a key that sorts the best first and non-finite values last."""
        if not math.isfinite(value):
            return math.inf
        return -value if self.higher_is_better else value


CRITERIA: Mapping[str, Criterion] = {
    "regression": Criterion(
        "mse",
        higher_is_better=False,
        predicts_planes=False,
        equivalents=("mse",),
        metrics=("mse", "mse_a", "mse_b", "rmse_lab_a", "rmse_lab_b"),
        headline=("mse", "rmse_lab_a", "rmse_lab_b"),
        tabled=("mse", "mse_a", "mse_b", "rmse_lab_a", "rmse_lab_b"),
    ),
    "colorizer": Criterion(
        "psnr",
        higher_is_better=True,
        predicts_planes=True,
        equivalents=("psnr", "mse"),  # PSNR = -10 log10(MSE)
        metrics=(
            *("psnr", "psnr_a", "psnr_b", "psnr_rgb", "mse", "mse_a", "mse_b"),
            *("ssim", "ssim_a", "ssim_b", "ssim_rgb"),
            *("ciede2000", "colorfulness", "colorfulness_difference"),
            *("psnr_as_reported", "psnr_a_as_reported", "psnr_b_as_reported"),
            *("ssim_as_reported", "ssim_a_as_reported", "ssim_b_as_reported"),
        ),
        headline=("psnr", "ssim"),
        tabled=(
            *("psnr", "mse_a", "mse_b", "psnr_a", "psnr_b", "ssim", "ssim_a", "ssim_b"),
            # The published SSIM is not the usual one: only these can be compared with it.
            *("ssim_a_as_reported", "ssim_b_as_reported"),
        ),
    ),
}


@dataclasses.dataclass(frozen=True)
class Metric:
    """A metric that a user has registered, computed by `function(predicted, true)`."""

    task: Task
    maximize: bool
    function: Callable[[Any, Any], float]


# By name without prefix; `register_metric` adds to it.
METRICS: dict[str, Metric] = {}


def metric_names(task: str) -> tuple[str, ...]:
    """All that `evaluate` measures of a task, without prefix: its own metrics, then registered."""
    return (*CRITERIA[task].metrics, *registered_names(task))


def registered_names(task: str) -> list[str]:
    """The names of the metrics that are registered for a task, without prefix."""
    return [name for name, metric in METRICS.items() if metric.task == task]


def registered_metric(metric: str) -> Metric | None:
    """The registered metric of this name, which may have the prefix `val_` or `test_`."""
    return METRICS.get(metric.removeprefix("val_").removeprefix("test_"))


def higher_is_better(metric: str) -> bool:
    """Say whether a larger value is a better one, of a metric with or without prefix."""
    if (registered := registered_metric(metric)) is not None:
        return registered.maximize
    name = metric.removeprefix("val_").removeprefix("test_")
    return name == "colorfulness" or "psnr" in name or "ssim" in name


def checked_task(task: str) -> Task:
    """Return `task`; ChromatuneError with the nearest valid name if there is no such task."""
    if task not in TASKS:
        hint = nearest(task, TASKS)
        raise ChromatuneError(f"unknown task '{task}'{hint} (valid: {', '.join(TASKS)})")
    return task
