"""The report: everything that a tracking store holds, beside what the course report published."""

from __future__ import annotations

from tuning.report._build import Options, build_report
from tuning.report._compare import compare_launches
from tuning.report._curves import read_published_curves
from tuning.report._document import Report
from tuning.report._markdown import render_markdown
from tuning.report._store import (
    Archive,
    Store,
    StoredCell,
    StoredChampion,
    StoredLaunch,
    StoredSpeedup,
)
from tuning.report._write import FORMATS, Format, check_report_folder, write_report

__all__ = [
    "FORMATS",
    "Archive",
    "Format",
    "Options",
    "Report",
    "Store",
    "StoredCell",
    "StoredChampion",
    "StoredLaunch",
    "StoredSpeedup",
    "build_report",
    "check_report_folder",
    "compare_launches",
    "read_published_curves",
    "render_markdown",
    "write_report",
]
