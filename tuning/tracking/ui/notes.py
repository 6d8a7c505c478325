"""Descriptions in MLflow's UI: of a cell's run."""

from __future__ import annotations

import math

from tuning.display.formatting import format_count, format_value, metric_title
from tuning.launch.records import CellRecord
from tuning.tracking.expected_runs import LaunchPlan, PlannedCell
from tuning.tracking.ui.links import artifact

NOTE = "mlflow.note.content"


def cell_note(launch: LaunchPlan, plan: PlannedCell, cell: CellRecord, sheet_of: str | None) -> str:
    """The description of a cell's run: its score and, if run `sheet_of` has one, its sheet."""
    metric = launch.metric
    when = f"after {format_count(cell.last_epoch, 'epoch')}"
    if cell.kept_epoch not in (None, cell.last_epoch):
        when = f"at epoch {cell.kept_epoch}, the best of {cell.last_epoch}"
    sentence = f"**{figure(metric, cell.metrics.get(metric, math.nan))}** {when}"
    if cell.outcome == "pruned":
        sentence += f", pruned before its {format_count(plan.epochs, 'epoch')}"
    if metric in launch.baseline:
        constant = format_value(metric, launch.baseline[metric])
        sentence += f"; the constant predictor has {constant}"
    picture = f"\n\n![sheet.png]({artifact(sheet_of, 'sheet.png')})" if sheet_of else ""
    return f"{sentence}.{picture}"


def failure_note(outcome: str, message: str, log: str) -> str:
    """The description of a run that failed or diverged; `log` is the artifact that says more."""
    more = f"\n\nThe traceback is the artifact {log}." if log else ""
    return f"**{outcome}**: {message}{more}"


def figure(metric: str, value: float) -> str:
    """Write a figure with its name and unit: `validation PSNR 28.84 dB`."""
    name, _, unit = metric_title(metric).partition(", ")
    return f"{name} {format_value(metric, value)} {unit}".strip()
