"""Test-set results of finished models, beside the report and the constant predictor."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import RenderableType

from data_prep import PreparedDataset
from tuning.config import Task
from tuning.data import load_split, load_task_data
from tuning.metrics import constant_baseline
from tuning.published import published_result
from tuning.tables import ResultRow, result_markdown, result_table

# The columns of the report's Tables II and V, and of IV and VI; SSIM in both ways of measuring.
_COLUMNS: Mapping[Task, tuple[str, ...]] = {
    "regression": ("test_mse_a", "test_mse_b", "test_rmse_lab_a", "test_rmse_lab_b"),
    "colorizer": (
        "test_mse_a",
        "test_mse_b",
        "test_psnr_a",
        "test_psnr_b",
        "test_ssim_a",
        "test_ssim_b",
    ),
}


@dataclasses.dataclass(frozen=True)
class Results:
    """A table of test results; each row may carry what the report published for it."""

    title: str
    columns: Sequence[str]
    rows: Sequence[ResultRow]

    def rich(self) -> RenderableType:
        return result_table(self.title, self.columns, self.rows)

    def markdown(self) -> str:
        return result_markdown(self.title, self.columns, self.rows)

    def records(self) -> list[dict[str, Any]]:
        """One JSON-able record a row, with every metric that was measured."""
        return [
            {
                "name": row.name,
                "measured": dict(row.measured),
                "published": dict(row.published),
            }
            for row in self.rows
        ]


def constant_row(dataset: PreparedDataset, task: Task) -> ResultRow:
    """The test metrics of always predicting the training set's mean colour."""
    baseline = load_task_data(dataset, task).baseline_ab
    test = load_split(dataset, "test", task)
    return ResultRow("constant predictor", constant_baseline(test, baseline, task, "test_"))


def published_metrics(dataset: str, task: Task, model: str, head: str) -> Mapping[str, float]:
    """What the report gives for this model on this dataset's test set; empty if nothing."""
    row = published_result(dataset, task, model, head)
    return row.metrics if row else {}


def results_table(title: str, task: Task, rows: Sequence[ResultRow]) -> Results:
    return Results(title, _COLUMNS[task], rows)
