"""Cells of a grid beside what the report published and what a constant would score."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any

from tuning.display.formatting import format_value, higher_is_better
from tuning.display.published import GRID_METRICS, published_cell
from tuning.errors import ChromatuneError, nearest


@dataclasses.dataclass(frozen=True)
class CellRow:
    """One cell of a grid: a model trained for `epochs` epochs.

    `outcome` is `finished`, `diverged`, `failed`, `stopped`, `running` or `not run`; only finished
    cells are compared. `published_epochs` names the cell of the report that a cell with scaled
    epochs stands for; None means `epochs` itself. The report's grids are on `faces`: cells on
    another `dataset` are compared with nothing.
    """

    cell_id: str
    model: str
    head: str
    lr: float
    epochs: int
    metrics: Mapping[str, float]
    outcome: str = "finished"
    run_id: str | None = None
    launch_id: str | None = None
    published_epochs: int | None = None
    dataset: str = "faces"

    def value(self, metric: str) -> float:
        """The finished cell's `metric`; NaN for one not finished or without that metric."""
        return self.metrics.get(metric, math.nan) if self.outcome == "finished" else math.nan

    def published(self, task: str) -> float | None:
        """What the report published for this cell; None if it has no such cell."""
        if self.dataset != "faces":
            return None
        epochs = self.published_epochs or self.epochs
        return published_cell(task, self.model, self.head, self.lr, epochs)


def grid_metric(task: str, metric: str | None) -> str:
    """Return `metric`, or by default the one of the task's grid in the report."""
    if task not in GRID_METRICS:
        raise ChromatuneError(
            f"unknown task '{task}'{nearest(task, GRID_METRICS)} (valid: {', '.join(GRID_METRICS)})"
        )
    return metric or GRID_METRICS[task]


def comparable(task: str, metric: str) -> bool:
    """Say whether the report's grid holds this metric, measured in its way or in the usual one."""
    return metric.removesuffix("_as_reported") == GRID_METRICS[task]


def better(metric: str, one: float, other: float) -> bool | None:
    """Say whether `one` beats `other` as printed; None if they tie or one is not finite."""
    if not (math.isfinite(one) and math.isfinite(other)):
        return None
    if format_value(metric, one) == format_value(metric, other):
        return None
    return (one > other) == higher_is_better(metric)


def comparison_mark(metric: str, measured: float, published: float) -> str:
    """Return ▲ for better than published, ▼ for worse, = for equal as printed."""
    return {True: "▲", False: "▼", None: "="}[better(metric, measured, published)]


def best_value(cells: Sequence[CellRow], metric: str) -> float:
    """Best finite value of the finished cells; NaN if there is none."""
    values = [value for cell in cells if math.isfinite(value := cell.value(metric))]
    pick = max if higher_is_better(metric) else min
    return pick(values, default=math.nan)


def constant_line(
    cells: Sequence[CellRow], metric: str, baseline: Mapping[str, float]
) -> str | None:
    """Say what the constant predictor scores and how many finished cells do not beat it.

    It predicts the mean a and b of the training set for every picture and pixel. None if
    `baseline` lacks `metric`.
    """
    if metric not in baseline:
        return None
    constant = baseline[metric]
    finished = [cell for cell in cells if cell.outcome == "finished"]
    beaten = sum(_beats(cell.value(metric), constant, metric) for cell in finished)
    number = f"{format_value(metric, constant)}{' dB' if 'psnr' in metric else ''}"
    return (
        f"constant predictor: {number}; "
        f"{len(finished) - beaten} of {len(finished)} finished cells do not beat it"
    )


def as_records(
    cells: Sequence[CellRow],
    task: str,
    baseline: Mapping[str, float] | None = None,
    metric: str | None = None,
) -> list[dict[str, Any]]:
    """List the cells as JSON-able records; values that are not finite become None.

    Beside the cell's own fields: `metric`, its `value`, the `published` one and the `constant`
    predictor's, `better_than_published` and `beats_constant` (None where there is nothing to
    compare).
    """
    metric = grid_metric(task, metric)
    constant = (baseline or {}).get(metric, math.nan)
    records = []
    for cell in cells:
        value = cell.value(metric)
        published = cell.published(task) if comparable(task, metric) else None
        record = {field.name: getattr(cell, field.name) for field in dataclasses.fields(cell)}
        record["metrics"] = {name: _json(number) for name, number in cell.metrics.items()}
        record["metric"] = metric
        record["value"] = _json(value)
        record["published"] = published
        record["better_than_published"] = (
            None if published is None else better(metric, value, published)
        )
        record["constant"] = _json(constant)
        known = math.isfinite(value) and math.isfinite(constant)
        record["beats_constant"] = _beats(value, constant, metric) if known else None
        records.append(record)
    return records


def _beats(value: float, constant: float, metric: str) -> bool:
    return value > constant if higher_is_better(metric) else value < constant


def _json(value: float) -> float | None:
    return value if math.isfinite(value) else None
