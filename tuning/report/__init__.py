"""The report: everything that a tracking store holds, beside what the original paper published."""

from __future__ import annotations

from tuning.report._build import build_report
from tuning.report._document import Report
from tuning.report._loss_curves import read_published_curves
from tuning.report._markdown import render_markdown
from tuning.report._write import check_report_folder, checked_format, write_report

__all__ = [
    "Report",
    "build_report",
    "check_report_folder",
    "checked_format",
    "read_published_curves",
    "render_markdown",
    "write_report",
]
