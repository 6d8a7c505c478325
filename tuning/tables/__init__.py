"""Results as tables: for a terminal, as Markdown, as records for JSON."""

from __future__ import annotations

from tuning.tables._cells import CellRow, as_records, better, constant_line
from tuning.tables._grid import GridPanels, grid_panels, grid_tables, markdown_table
from tuning.tables._results import ResultRow, result_markdown, result_table

__all__ = [
    "CellRow",
    "GridPanels",
    "ResultRow",
    "as_records",
    "better",
    "constant_line",
    "grid_panels",
    "grid_tables",
    "markdown_table",
    "result_markdown",
    "result_table",
]
