"""The description of a cell's run: its score, its picture."""

from __future__ import annotations

from tuning.display.formatting import format_count, format_value
from tuning.tracking.launch_reader import FinishedCell, LaunchFolder, PlannedCell
from tuning.tracking.ui.links import artifact
from tuning.tracking.ui.markdown import measured
from tuning.training.tasks import CRITERIA


def cell_note(run_id: str, folder: LaunchFolder, plan: PlannedCell, cell: FinishedCell) -> str:
    """Write the Markdown that MLflow shows first of a cell's run."""
    criterion = CRITERIA[folder.task]
    metric = f"val_{criterion.name}"
    sentence = f"**{measured(metric, criterion.value(cell.metrics, 'val_'))}** {_when(cell)}"
    if cell.outcome == "pruned":
        sentence += f", pruned before its {format_count(plan.epochs, 'epoch')}"
    baseline = (folder.document.get("baseline") or {}).get(metric)
    if baseline is not None:
        sentence += f"; the constant predictor has {format_value(metric, float(baseline))}"
    picture = "sheet.png" if folder.task == "colorizer" else "loss_curve.png"
    return f"{sentence}.\n\n![{picture}]({artifact(run_id, picture)})"


def _when(cell: FinishedCell) -> str:
    trained = f"after {format_count(cell.last_epoch, 'epoch')}"
    if cell.kept_epoch in (None, cell.last_epoch):
        return trained
    return f"at epoch {cell.kept_epoch}, the best of {cell.last_epoch}"
