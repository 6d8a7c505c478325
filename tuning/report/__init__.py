"""The report: everything that a tracking store holds, beside what the course report published."""

from __future__ import annotations

from tuning.report._build import Options, build_report
from tuning.report._document import Report
from tuning.report._loss_curves import read_published_curves
from tuning.report._markdown import render_markdown
from tuning.report._write import FORMATS, Format, check_report_folder, write_report
from tuning.tracking.records import (
    Archive,
    Store,
    StoredCell,
    StoredLaunch,
    StoredSpeedup,
)

__all__ = [
    "FORMATS",
    "Archive",
    "Format",
    "Options",
    "Report",
    "Store",
    "StoredCell",
    "StoredLaunch",
    "StoredSpeedup",
    "build_report",
    "check_report_folder",
    "read_published_curves",
    "render_markdown",
    "write_report",
]
