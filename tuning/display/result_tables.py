"""Results as data that can be shown, printed as Markdown and written as JSON."""

from __future__ import annotations

import dataclasses
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
