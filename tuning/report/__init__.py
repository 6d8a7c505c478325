"""The report: everything that a tracking store holds, beside what the original paper published."""

from __future__ import annotations

from tuning.report._build import Options, build_report
from tuning.report._document import Report
from tuning.report._loss_curves import read_published_curves
from tuning.report._markdown import render_markdown
from tuning.report._write import FORMATS, Format, check_report_folder, write_report

__all__ = [
    "FORMATS",
    "Format",
    "Options",
    "Report",
    "build_report",
    "check_report_folder",
    "read_published_curves",
    "render_markdown",
    "write_report",
]
