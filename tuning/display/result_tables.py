"""Results as data that can be shown, printed as Markdown, stored as JSON and read back."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from rich.console import RenderableType

from tuning.config.schema import Task
from tuning.display.tables import (
    CellRow,
    ResultRow,
    as_records,
    grid_tables,
    markdown_table,
    result_markdown,
    result_table,
)
from tuning.errors import ChromatuneError


class ResultTable(Protocol):
    """What every table of results can do."""

    def rich(self) -> RenderableType: ...

    def markdown(self) -> str: ...

    def to_json(self) -> dict[str, Any]: ...


@dataclasses.dataclass(frozen=True)
class GridTable:
    """A grid's cells on val, laid out as the report's table; `baseline` is the constant's."""

    task: Task
    cells: Sequence[CellRow]
    baseline: Mapping[str, float]

    def rich(self) -> RenderableType:
        return grid_tables(self.cells, self.task, self.baseline)

    def markdown(self) -> str:
        return markdown_table(self.cells, self.task, self.baseline)

    def to_json(self) -> dict[str, Any]:
        return {
            "type": "grid",
            "task": self.task,
            "baseline": dict(self.baseline),
            "cells": as_records(self.cells, self.task, self.baseline),
        }


@dataclasses.dataclass(frozen=True)
class TestTable:
    """Test-set results, one row a model; the last is the constant predictor's."""

    __test__ = False  # no test of pytest's

    title: str
    columns: Sequence[str]
    rows: Sequence[ResultRow]

    def rich(self) -> RenderableType:
        return result_table(self.title, self.columns, self.rows)

    def markdown(self) -> str:
        return result_markdown(self.title, self.columns, self.rows)

    def to_json(self) -> dict[str, Any]:
        return {
            "type": "test",
            "title": self.title,
            "columns": list(self.columns),
            "rows": [
                {
                    "name": row.name,
                    "measured": dict(row.measured),
                    "published": dict(row.published),
                }
                for row in self.rows
            ],
        }


def table_from_json(value: Mapping[str, Any]) -> ResultTable:
    """Read back what `to_json` gave; ChromatuneError if it is something else."""
    try:
        if value["type"] == "grid":
            fields = [field.name for field in dataclasses.fields(CellRow)]
            cells = [CellRow(**{name: cell[name] for name in fields}) for cell in value["cells"]]
            cells = [dataclasses.replace(cell, metrics=_numbers(cell.metrics)) for cell in cells]
            return GridTable(value["task"], cells, value["baseline"])
        if value["type"] == "test":
            rows = [ResultRow(**row) for row in value["rows"]]
            return TestTable(value["title"], value["columns"], rows)
    except (KeyError, TypeError, AttributeError) as error:
        raise ChromatuneError(f"a table of results is damaged: {error}") from None
    raise ChromatuneError(f"a table of results has the unknown type {value['type']!r}")


def _numbers(metrics: Mapping[str, float | None]) -> dict[str, float]:
    """Metrics out of JSON, which has no NaN and keeps it as null."""
    return {name: math.nan if value is None else value for name, value in metrics.items()}
