"""The trials of one launch, finished or not, as a table: of a search, or of what runs."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any

from tuning.display.comparison_table import ResultTable
from tuning.display.formatting import (
    format_count,
    format_value,
    metric_heading,
    one_line,
    settings_text,
)
from tuning.display.table import Cell, Row, Table
from tuning.launch.overview import LaunchState
from tuning.launch.trial_state import metric_of
from tuning.tracking.stored_runs import StoredCell

_LEFT = ("state", "settings")
# Shown in the name of a trial.
_NAMED = ("model", "head")
# The same for all trials of a launch whose folder is elsewhere.
_SHARED = ("seed", "image_size", "model_kwargs")


@dataclasses.dataclass(frozen=True)
class TrialRow:
    """A trial: the metric's value so far, the epoch it has reached, `done` of its cells.

    `settings` are what a search varies, `metrics` those of the state with this value; `error` says
    why the trial failed, `log` where it wrote.
    """

    trial: str
    status: str
    value: float | None
    epoch: int
    epochs: int
    cells: int = 1
    done: int = 0
    settings: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    error: str = ""
    log: str = ""
    metrics: Mapping[str, float] = dataclasses.field(default_factory=dict)
    seconds: float = 0.0


@dataclasses.dataclass(frozen=True)
class TrialsTable(ResultTable):
    """A launch's trials, the best first, then those without a value; at most `limit` are shown."""

    launch_id: str
    kind: str
    dataset: str
    state: str
    metric: str
    maximize: bool
    trials: Sequence[TrialRow]
    limit: int | None = None

    @property
    def ranked(self) -> list[TrialRow]:
        sign = -1 if self.maximize else 1

        def key(row: TrialRow) -> float:
            return math.inf if row.value is None else sign * row.value

        return sorted(self.trials, key=key)

    def tables(self) -> list[Table]:
        shown = self.ranked[: self.limit]
        best = next((row for row in shown if row.value is not None), None)
        rows = tuple(self._row(row, is_best=row is best) for row in shown)
        caption = f"{self.launch_id}: {self.kind} on {self.dataset}, {self.state}"
        columns = (metric_heading(self.metric), "epochs", "cells", *_LEFT)
        return [Table(caption, "trial", columns, rows, tuple(self._notes()), left=_LEFT)]

    def to_json(self) -> dict[str, Any]:
        return {
            "type": "trials",
            **{name: getattr(self, name) for name in ("launch_id", "kind", "dataset", "state")},
            "metric": self.metric,
            "counts": self._counts(),
            "trials": [dataclasses.asdict(row) for row in self.ranked],
        }

    def records(self) -> list[dict[str, Any]]:
        return [
            {
                **{"launch": self.launch_id, "trial": row.trial, "status": row.status},
                **row.settings,
                **{"epoch": row.epoch, "epochs": row.epochs, "seconds": row.seconds},
                **({} if row.value is None else {self.metric: row.value}),
                **row.metrics,
                "error": row.error,
            }
            for row in self.ranked
        ]

    def _row(self, row: TrialRow, *, is_best: bool) -> Row:
        value = "–" if row.value is None else format_value(self.metric, row.value)
        texts = (f"{row.epoch} of {row.epochs}", f"{row.done}/{row.cells}", row.status)
        settings = {key: value for key, value in row.settings.items() if key not in _NAMED}
        below = [line for line in (one_line(row.error), row.log and f"log: {row.log}") if line]
        return Row(
            row.trial,
            (
                Cell(value, winner="all" if is_best else None, missing=row.value is None),
                *map(Cell, texts),
                Cell("\n".join([settings_text(settings), *below]).strip()),
            ),
        )

    def _counts(self) -> dict[str, int]:
        states = [row.status for row in self.trials]
        return {name: states.count(name) for name in dict.fromkeys(states)}

    def _notes(self) -> list[str]:
        counts = ", ".join(f"{count} {name}" for name, count in self._counts().items())
        notes = [f"{format_count(len(self.trials), 'trial')}: {counts or 'none yet'}"]
        hidden = 0 if self.limit is None else len(self.trials) - self.limit
        if hidden > 0:
            notes.append(f"{hidden} more: `chromatune trials --launch {self.launch_id}`")
        return notes


def folder_table(launch: LaunchState, limit: int | None = None) -> TrialsTable:
    """The trials that are in a launch's folder."""
    document = launch.document
    space = (document["config"].get("search") or {}).get("space") or {}
    varied = [name for name, entry in space.items() if isinstance(entry, Mapping)]
    metric, maximize = metric_of(document)
    rows = [
        TrialRow(
            trial.training_id,
            trial.status,
            trial.value,
            trial.epoch,
            trial.epochs,
            trial.cells,
            trial.done,
            _settings(trial.params, varied),
            trial.error,
            trial.log,
            trial.metrics,
            trial.seconds,
        )
        for trial in launch.trials
    ]
    place = (launch.launch_id, document["kind"], document["dataset"], launch.state)
    return TrialsTable(*place, metric, maximize, rows, limit)


def stored_table(cells: Sequence[StoredCell], metric: str, maximize: bool) -> TrialsTable:
    """The finished trials of a launch whose folder is elsewhere, as MLflow has them."""
    first = cells[0]
    rows = [
        TrialRow(
            cell.cell_id,
            "done",
            cell.metrics.get(metric),
            cell.epochs,
            cell.epochs,
            done=1,
            settings={key: value for key, value in cell.params.items() if key not in _SHARED},
            metrics={key: value for key, value in cell.metrics.items() if key.startswith("val_")},
            seconds=cell.metrics.get("train_seconds", 0.0),
        )
        for cell in cells
    ]
    place = (first.launch_id, first.kind, first.dataset, "its folder is not here")
    return TrialsTable(*place, metric, maximize, rows)


def _settings(params: Mapping[str, Any], varied: Sequence[str]) -> dict[str, Any]:
    arguments = {f"model_kwargs.{k}": v for k, v in (params.get("model_kwargs") or {}).items()}
    every = {**params, **arguments}
    return {name: every[name] for name in varied if name in every}
