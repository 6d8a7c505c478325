"""Results as tables: for a terminal, as Markdown, as records for JSON."""

from __future__ import annotations

from tuning.display.tables._grid import GridPanels, grid_panels, grid_tables, markdown_table
from tuning.display.tables._results import ResultRow, result_markdown, result_table
from tuning.display.tables._rows import CellRow, as_records, better, constant_line

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
