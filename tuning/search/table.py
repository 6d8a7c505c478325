"""A search's trials as a table: the best ten, or the Pareto set and what comes behind it."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from tuning.display.formatting import format_count, format_duration, format_value, metric_heading
from tuning.search.objectives import Objective
from tuning.search.summary import TrialSummary, pareto_set, ranked
from tuning.search.trial_settings import settings_text

_ROWS = 10
_OUTCOMES = ("finished", "pruned", "stopped", "running", "diverged", "failed", "known")
_WORDS = {"pruned": "cut short", "known": "known before"}


@dataclasses.dataclass(frozen=True)
class SearchTable:
    """The best trials of a search; `baseline` has the constant predictor's metrics on val."""

    heading: str
    objectives: Sequence[Objective]
    trials: Sequence[TrialSummary]
    baseline: Mapping[str, float]

    @property
    def front(self) -> list[TrialSummary]:
        """What no other trial beats."""
        return pareto_set(self.trials, self.objectives)

    @property
    def shown(self) -> list[TrialSummary]:
        """The Pareto set, then the others by the first objective: ten in all, or the whole set."""
        front = self.front
        others = [trial for trial in ranked(self.trials, self.objectives[0]) if trial not in front]
        return [*front, *others[: max(0, _ROWS - len(front))]]

    def rich(self) -> RenderableType:
        front = self.front
        table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
        table.add_column("")
        for heading in ("trial", *map(_heading, self.objectives), "epochs"):
            table.add_column(heading, justify="right", no_wrap=True)
        table.add_column("settings", overflow="fold")
        for trial in self.shown:
            cells = [str(trial.number), *self._figures(trial), _epochs(trial), _settings(trial)]
            best = trial in front
            table.add_row("★" if best else "", *cells, style="bold" if best else "")
        return Group(Text(self.heading, style="bold"), table, Text(self._legend()))

    def markdown(self) -> str:
        front = self.front
        headings = ["", "trial", *map(_heading, self.objectives), "epochs", "ended", "settings"]
        lines = [f"**{self.heading}**", "", f"| {' | '.join(headings)} |"]
        lines += ["|---" + "|---:" * (len(headings) - 3) + "|---|---|"]
        for trial in self.shown:
            cells = [str(trial.number), *self._figures(trial), _epochs(trial), trial.outcome]
            star = "★" if trial in front else ""
            lines.append(f"| {star} | {' | '.join(cells)} | {_settings(trial)} |")
        return "\n".join([*lines, "", self._legend()]) + "\n"

    def to_json(self) -> dict[str, Any]:
        front = {trial.number for trial in self.front}
        return {
            "type": "search",
            "title": self.heading,
            "objectives": [str(objective) for objective in self.objectives],
            "baseline": dict(self.baseline),
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
        }

    def _figures(self, trial: TrialSummary) -> list[str]:
        pairs = zip(self.objectives, trial.values, strict=True)
        return [format_value(objective.name, value) for objective, value in pairs]

    def _counts(self) -> dict[str, int]:
        outcomes = [trial.outcome for trial in self.trials]
        return {name: outcomes.count(name) for name in _OUTCOMES if name in outcomes}

    def _legend(self) -> str:
        counts = ", ".join(f"{n} {_WORDS.get(name, name)}" for name, n in self._counts().items())
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
        return "\n".join(f"- {line}" for line in lines)


def _heading(objective: Objective) -> str:
    return metric_heading(objective.name)


def _epochs(trial: TrialSummary) -> str:
    if trial.kept_epoch is None:
        return "–"
    return f"{trial.kept_epoch} of {trial.epochs}"


def _settings(trial: TrialSummary) -> str:
    known = f"{trial.name}: " if trial.is_known else ""
    return known + settings_text(trial.params)
