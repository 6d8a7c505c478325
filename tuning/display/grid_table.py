"""A grid's cells, laid out as the original paper's tables."""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Mapping, Sequence
from typing import Any

from tuning.display.comparison_table import ResultTable, beats, better, compared
from tuning.display.formatting import (
    format_lr,
    format_value,
    head_title,
    higher_is_better,
    metric_title,
    with_unit,
)
from tuning.display.published import TABLE_I, TABLE_III, published_cell
from tuning.display.table import Cell, Row, Table, Winner
from tuning.training.tasks import CRITERIA

_ORDER = [*TABLE_I, *TABLE_III]
_LEGEND = "★ best of all ☆ of its table"
_COMPARED = "measured / published · ▲ better ▼ worse = equal"


@dataclasses.dataclass(frozen=True)
class CellRow:
    """One cell of a grid: a model trained for `epochs` epochs.

    `outcome` is `finished`, `diverged`, `failed`, `stopped`, `running` or `not run`; only finished
    cells are compared. `published_epochs` names the published cell that a cell with scaled
    epochs stands for; None means `epochs` itself. The published grids are on `faces`: cells on
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
        """The published value of this cell; None if there is none."""
        if self.dataset != "faces":
            return None
        epochs = self.published_epochs or self.epochs
        return published_cell(task, self.model, self.head, self.lr, epochs)


@dataclasses.dataclass(frozen=True)
class GridPanels:
    """A grid's values for a heatmap: `values` maps a title to rows of numbers, NaN where none."""

    rows: list[str]
    columns: list[str]
    values: dict[str, list[list[float]]]


@dataclasses.dataclass(frozen=True)
class GridTable(ResultTable):
    """A grid's cells on val, laid out as the original paper's table; `baseline` is the constant's.

    Of several cells for one place (two launches of a grid) the last given is shown. The label
    `10 (100)` is 10 epochs that stand for the published 100.
    """

    task: str
    cells: Sequence[CellRow]
    baseline: Mapping[str, float]

    def tables(self) -> list[Table]:
        """One table per model and head: epochs down, learning rates across."""
        if not self.cells:
            return [Table("no cells", "epochs", (), ())]
        best = self._best(list(self._places.values()))
        frame = [cell for lines in self._frame.values() for line in lines for cell in line]
        is_compared = any(cell.published(self.task) is not None for cell in frame)
        heads = tuple(f"lr {format_lr(lr)}" for lr in self._lrs)
        tables = []
        for name, lines in self._frame.items():
            best_here = self._best([cell for line in lines for cell in line])
            rows = tuple(
                Row(label, tuple(self._cell(cell, best_here, best, is_compared) for cell in line))
                for label, line in zip(self._labels, lines, strict=True)
            )
            tables.append(Table(f"{name}: {metric_title(self._metric)}", "epochs", heads, rows))
        notes = tuple(self._notes(is_compared))
        return [*tables[:-1], dataclasses.replace(tables[-1], notes=notes)]

    def to_json(self) -> dict[str, Any]:
        return {
            "type": "grid",
            "task": self.task,
            "baseline": dict(self.baseline),
            "cells": [self._record(cell) for cell in self.cells],
        }

    def records(self) -> list[dict[str, Any]]:
        names = ("model", "head", "lr", "epochs")
        return [
            {
                **{"launch": cell.launch_id, "trial": cell.cell_id, "status": cell.outcome},
                **{name: getattr(cell, name) for name in names},
                **cell.metrics,
            }
            for cell in self.cells
        ]

    def panels(self) -> GridPanels:
        """Arrange the values for `tuning.display.plots.grid_heatmap`."""
        values = {
            name: [[cell.value(self._metric) for cell in line] for line in lines]
            for name, lines in self._frame.items()
        }
        return GridPanels(self._labels, [format_lr(lr) for lr in self._lrs], values)

    @property
    def _metric(self) -> str:
        return f"val_{CRITERIA[self.task].name}"

    @property
    def _lrs(self) -> list[float]:
        return sorted({cell.lr for cell in self.cells}, reverse=True)

    @property
    def _epochs(self) -> dict[int, int | None]:
        """The numbers of epochs, and the published ones that they stand for."""
        return dict(sorted({cell.epochs: cell.published_epochs for cell in self.cells}.items()))

    @property
    def _labels(self) -> list[str]:
        return [
            f"{epochs} ({stands_for})" if stands_for not in (None, epochs) else str(epochs)
            for epochs, stands_for in self._epochs.items()
        ]

    @property
    def _places(self) -> dict[tuple[str, str, int, float], CellRow]:
        return {(cell.model, cell.head, cell.epochs, cell.lr): cell for cell in self.cells}

    @functools.cached_property
    def _frame(self) -> dict[str, list[list[CellRow]]]:
        """By model and head in the published order: rows of epochs, a column per learning rate."""
        places, dataset = self._places, self.cells[0].dataset
        keys = {(cell.model, cell.head) for cell in self.cells}
        known = [key for key in _ORDER if key in keys]

        def cell_at(
            key: tuple[str, str], epochs: int, stands_for: int | None, lr: float
        ) -> CellRow:
            missing = CellRow("", *key, lr, epochs, {}, "not run", None, None, stands_for, dataset)
            return places.get((*key, epochs, lr), missing)

        return {
            f"{key[0]}, {head_title(key[1])}": [
                [cell_at(key, *epochs, lr) for lr in self._lrs] for epochs in self._epochs.items()
            ]
            for key in [*known, *sorted(keys - set(known))]
        }

    def _best(self, cells: Sequence[CellRow]) -> float:
        values = [value for cell in cells if math.isfinite(value := cell.value(self._metric))]
        pick = max if higher_is_better(self._metric) else min
        return pick(values, default=math.nan)

    def _cell(self, cell: CellRow, best_here: float, best: float, is_compared: bool) -> Cell:
        value, published = cell.value(self._metric), cell.published(self.task)
        beside = "–" if published is None else format_value(self._metric, published)
        beside = beside if is_compared else ""
        winner: Winner | None = "table" if value == best_here else None
        return dataclasses.replace(
            compared(self._metric, value, published, cell.outcome),
            winner="all" if value == best else winner,
            beside=beside,
        )

    def _notes(self, is_compared: bool) -> list[str]:
        notes = [f"{_COMPARED} · {_LEGEND}" if is_compared else _LEGEND]
        if any(stands_for not in (None, epochs) for epochs, stands_for in self._epochs.items()):
            notes.append("epochs in brackets: the published ones that they stand for")
        if CRITERIA[self.task].predicts_planes and is_compared:
            notes.append(
                "published values were measured with BatchNorm in training mode: "
                "val_psnr_as_reported is measured alike"
            )
        constant = self.baseline.get(self._metric)
        if constant is not None:
            values = [
                c.value(self._metric) for c in self._places.values() if c.outcome == "finished"
            ]
            beating = sum(beats(self._metric, value, constant) for value in values)
            counts = f"; {beating} of {len(values)} finished cells beat it" if values else ""
            notes.append(f"constant predictor: {with_unit(self._metric, constant)}{counts}")
        return notes

    def _record(self, cell: CellRow) -> dict[str, Any]:
        """The cell's own fields, and the comparisons; None for what is not finite or unknown."""
        metric, published = self._metric, cell.published(self.task)
        value, constant = cell.value(metric), self.baseline.get(metric, math.nan)
        is_better = None if published is None else better(metric, value, published)
        known = math.isfinite(value) and math.isfinite(constant)
        return {
            **{field.name: getattr(cell, field.name) for field in dataclasses.fields(cell)},
            "metrics": {name: _finite(number) for name, number in cell.metrics.items()},
            "metric": metric,
            "value": _finite(value),
            "published": published,
            "better_than_published": is_better,
            "constant": _finite(constant),
            "beats_constant": beats(metric, value, constant) if known else None,
        }


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
