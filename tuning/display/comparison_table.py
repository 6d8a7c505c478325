"""Results beside the published ones and the constant predictor, as tables and as JSON."""

from __future__ import annotations

import dataclasses
import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from tuning.display.formatting import format_value, higher_is_better, metric_heading
from tuning.display.table import Cell, Row, Table, Verdict, html, markdown, row, terminal

if TYPE_CHECKING:
    from rich.console import RenderableType


class ResultTable(ABC):
    """What a command has to show: tables for people, a document for programs."""

    @abstractmethod
    def tables(self) -> list[Table]: ...

    @abstractmethod
    def to_json(self) -> dict[str, Any]: ...

    def records(self) -> list[dict[str, Any]]:
        """A flat row for each trial, for CSV; [] of tables without trials."""
        return []

    def rich(self) -> RenderableType:
        return terminal(self.tables())

    def markdown(self) -> str:
        return markdown(self.tables())

    def _repr_html_(self) -> str:
        return html(self.tables())


@dataclasses.dataclass(frozen=True)
class ResultRow:
    """A model's metrics, beside the published ones."""

    name: str
    measured: Mapping[str, float]
    published: Mapping[str, float] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class TestTable(ResultTable):
    """Test-set results, one row a model; the last is the constant predictor's.

    ▲ and ▼ mark what is better or worse than published; `*` heads a metric measured as published.
    """

    __test__ = False  # no test of pytest's

    title: str
    columns: Sequence[str]
    rows: Sequence[ResultRow]

    def tables(self) -> list[Table]:
        rows = []
        for result in self.rows:
            rows.append(Row(result.name, tuple(self._cell(result, name) for name in self.columns)))
            if result.published:
                texts = [_number(result.published, name) for name in self.columns]
                rows.append(row("published", *texts, detail=True))
        notes = []
        if any(result.published for result in self.rows):
            notes.append("▲ better ▼ worse = equal to the published value")
        if any(metric.endswith("_as_reported") for metric in self.columns):
            notes.append("* measured as in the original paper")
        heads = tuple(map(metric_heading, self.columns))
        return [Table(self.title, "", heads, tuple(rows), tuple(notes))]

    def to_json(self) -> dict[str, Any]:
        return {
            "type": "test",
            "title": self.title,
            "columns": list(self.columns),
            "rows": [
                {
                    "name": result.name,
                    "measured": dict(result.measured),
                    "published": dict(result.published),
                }
                for result in self.rows
            ],
        }

    def _cell(self, result: ResultRow, metric: str) -> Cell:
        text = _number(result.measured, metric)
        own = result.measured.get(metric, math.nan)
        return Cell(text, verdict=verdict(metric, own, result.published.get(metric)))


def better(metric: str, own: float, other: float) -> bool | None:
    """Say whether `own` beats `other` as printed; None if they tie or one is not finite."""
    if not (math.isfinite(own) and math.isfinite(other)):
        return None
    if format_value(metric, own) == format_value(metric, other):
        return None
    return (own > other) == higher_is_better(metric)


def verdict(metric: str, own: float, published: float | None) -> Verdict | None:
    """Compare with a published value as printed; None if there is nothing to compare."""
    if published is None or not math.isfinite(own):
        return None
    verdicts: Mapping[bool | None, Verdict] = {True: "better", False: "worse", None: "equal"}
    return verdicts[better(metric, own, published)]


def compared(metric: str, value: float, published: float | None, outcome: str) -> Cell:
    """Write a value with its verdict; of one that is not there, what has become of its cell."""
    if math.isnan(value):
        return Cell("no value" if outcome == "finished" else outcome, missing=True)
    return Cell(format_value(metric, value), verdict=verdict(metric, value, published))


def beats(metric: str, value: float, constant: float) -> bool:
    """Whether a value is better than the constant predictor's, however little."""
    return value > constant if higher_is_better(metric) else value < constant


def _number(values: Mapping[str, float], metric: str) -> str:
    return format_value(metric, values[metric]) if metric in values else "–"
