"""A search's trials as a table: the best ten, or the Pareto set and the next best."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from tuning.display.comparison_table import ResultTable
from tuning.display.formatting import (
    format_count,
    format_duration,
    format_value,
    metric_heading,
    settings_text,
)
from tuning.display.table import Cell, Row, Table
from tuning.search.confirmation import Confirmed
from tuning.search.confirmed_table import confirmed_record, confirmed_table
from tuning.search.objectives import Objective
from tuning.search.summary import TrialSummary, pareto_set, ranked

_ROWS = 10
_OUTCOMES = ("finished", "pruned", "stopped", "paused", "running", "diverged", "failed", "known")


@dataclasses.dataclass(frozen=True)
class SearchTable(ResultTable):
    """The best trials of a search; `baseline` are the constant predictor's metrics on val.

    `study` says where Optuna finds the study. `confirmed` are the best configurations with several
    seeds, the best mean first; its first wins if the search is over.
    """

    heading: str
    objectives: Sequence[Objective]
    trials: Sequence[TrialSummary]
    baseline: Mapping[str, float]
    study: str = ""
    confirmed: Sequence[Confirmed] = ()

    @property
    def front(self) -> list[TrialSummary]:
        """The trials that no other dominates."""
        return pareto_set(self.trials, self.objectives)

    @property
    def shown(self) -> list[TrialSummary]:
        """The Pareto set, then the others by the first objective: ten trials, or the whole set."""
        front = self.front
        others = [trial for trial in ranked(self.trials, self.objectives[0]) if trial not in front]
        return [*front, *others[: max(0, _ROWS - len(front))]]

    def tables(self) -> list[Table]:
        front = self.front
        heads = (*(metric_heading(objective.name) for objective in self.objectives), "epochs")
        rows = [self._row(trial, is_best=trial in front) for trial in self.shown]
        columns = (*heads, "ended", "settings")
        left = ("ended", "settings")
        notes = tuple(self._notes())
        tables = [Table(self.heading, "trial", columns, tuple(rows), notes, left=left)]
        return [*tables, confirmed_table(self.confirmed)] if self.confirmed else tables

    def to_json(self) -> dict[str, Any]:
        front = {trial.number for trial in self.front}
        return {
            "type": "search",
            "title": self.heading,
            "objectives": [str(objective) for objective in self.objectives],
            "baseline": dict(self.baseline),
            "study": self.study,
            "counts": self._counts(),
            "trials": [
                {
                    "trial": trial.number,
                    "name": trial.name,
                    "in_pareto_set": trial.number in front,
                    "outcome": trial.outcome,
                    "values": list(trial.values),
                    "epochs": trial.epochs,
                    "kept_epoch": trial.kept_epoch,
                    "params": dict(trial.params),
                }
                for trial in self.shown
            ],
            "confirmed": [confirmed_record(each) for each in self.confirmed],
        }

    def _row(self, trial: TrialSummary, *, is_best: bool) -> Row:
        values = [
            Cell(format_value(objective.name, value), winner="all" if is_best else None)
            for objective, value in zip(self.objectives, trial.values, strict=True)
        ]
        epochs = "–" if trial.kept_epoch is None else f"{trial.kept_epoch} of {trial.epochs}"
        settings = (f"{trial.name}: " if trial.is_known else "") + settings_text(trial.params)
        return Row(str(trial.number), (*values, Cell(epochs), Cell(trial.outcome), Cell(settings)))

    def _counts(self) -> dict[str, int]:
        outcomes = [trial.outcome for trial in self.trials]
        return {name: outcomes.count(name) for name in _OUTCOMES if name in outcomes}

    def _notes(self) -> list[str]:
        counts = ", ".join(f"{count} {name}" for name, count in self._counts().items())
        seconds = sum(trial.seconds for trial in self.trials)
        epochs = sum(trial.epochs for trial in self.trials)
        lines = [
            f"{format_count(len(self.trials), 'trial')}: {counts}; "
            f"{format_count(epochs, 'epoch')} in {format_duration(seconds)} of training"
        ]
        if self.shown:
            lines.append("★ in the Pareto set" if len(self.objectives) > 1 else "★ best")
        first = self.objectives[0].name
        if first in self.baseline:
            value = format_value(first, self.baseline[first])
            lines.append(f"constant predictor: {metric_heading(first)} {value}")
        if self.study:
            lines.append(self.study)
        return lines
