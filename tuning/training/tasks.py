"""What a task is: what its models predict, and which metric decides between two of them."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Literal, get_args

from tuning.errors import ChromatuneError, nearest

Task = Literal["regression", "colorizer"]

TASKS: tuple[Task, ...] = get_args(Task)


@dataclasses.dataclass(frozen=True)
class Criterion:
    """The metric that a task is decided by, without its `val_` or `test_` prefix.

    `predicts_planes` says whether models of the task predict the a and b planes of an image, or
    only their means. `metrics` are all that `evaluate` measures, `equivalents` those that rank
    models in the same order as this one, `headline` the few that describe a model, `tabled` those
    of a table of test results; all these without prefix.
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


def higher_is_better(metric: str) -> bool:
    """Say whether a larger value is a better one, of a metric with or without prefix."""
    return "psnr" in metric or "ssim" in metric


def checked_task(task: str) -> Task:
    """Return `task`; ChromatuneError with the nearest valid name if there is no such task."""
    if task not in TASKS:
        hint = nearest(task, TASKS)
        raise ChromatuneError(f"unknown task '{task}'{hint} (valid: {', '.join(TASKS)})")
    return task
