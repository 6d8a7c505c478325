"""Test-set results of finished models, beside the original paper and the constant predictor."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence

from data_prep import PreparedDataset
from tuning.config.schema import Task
from tuning.display.comparison_table import ResultRow, TestTable
from tuning.display.published import best_published, published_result
from tuning.launch.outcomes import LaunchOutcome
from tuning.tracking.evaluation import (
    constant_on_test,
    log_showcase,
    log_test_metrics,
    metrics_on_test,
)
from tuning.tracking.reader import finished_cells
from tuning.tracking.registry.promotion import Promotion
from tuning.tracking.store import make_client
from tuning.tracking.stored_runs import StoredCell
from tuning.training.tasks import CRITERIA, registered_names

_CONSTANT = "constant predictor"


def delivered_cells(tracking_uri: str, outcome: LaunchOutcome) -> list[StoredCell]:
    """The launch's finished cells as MLflow has them; none while it lacks some of them.

    In the launch's own order: trials that run side by side end in any other.
    """
    if outcome.undelivered:
        return []
    launch = outcome.launch
    digest = str(launch.document["dataset_digest"])
    found = {
        cell.cell_id: cell
        for cell in finished_cells(tracking_uri, digest, launch.task, launch.kind)
        if cell.launch_id == launch.launch_id
    }
    names = [cell.cell_id for training in launch.trainings for cell in training.cells]
    return [found[name] for name in names if name in found]


def measured_table(
    task: Task,
    dataset: PreparedDataset,
    cells: Mapping[str, StoredCell],
    tracking_uri: str,
    *,
    unpublished: Collection[str] = (),
    device: str = "cpu",
) -> TestTable:
    """Measure cells, keyed by their rows' names, on the test set; each is measured only once.

    Rows named in `unpublished` are compared with no published result.
    """
    client = make_client(tracking_uri)
    rows = []
    for name, cell in cells.items():
        metrics = metrics_on_test(cell, dataset, task, tracking_uri, device)
        log_test_metrics(client, cell, metrics)
        log_showcase(client, cell, dataset, tracking_uri, device)
        published = {} if name in unpublished else _published(cell, task)
        rows.append(ResultRow(name, metrics, published))
    rows.append(ResultRow(_CONSTANT, constant_on_test(dataset, task)))
    return TestTable(f"{task} on {dataset.name}, test set", _columns(task, rows), rows)


def promotion_table(promotion: Promotion, task: Task) -> TestTable:
    """The candidate beside the champion it was measured against."""
    champion = promotion.champion
    cell, measured = promotion.cell, promotion.measured
    rows = [ResultRow(cell.name, measured.test_metrics, _published(cell, task))]
    if champion is not None and not promotion.is_champion and measured.rival_metrics:
        rows.append(ResultRow(f"champion v{champion.version}", measured.rival_metrics))
    rows.append(ResultRow(_CONSTANT, measured.constant_metrics))
    return TestTable(f"{promotion.name}, test set", _columns(task, rows), rows)


def _published(cell: StoredCell, task: Task) -> Mapping[str, float]:
    """The published test metrics of this model on this dataset, else those of the best model."""
    named = published_result(cell.dataset, task, cell.params["model"], cell.params["head"])
    row = named or best_published(cell.dataset, task)
    return row.metrics if row else {}


def _columns(task: Task, rows: Sequence[ResultRow]) -> list[str]:
    """The metrics of a table of test results, and a user's own, where any row has them."""
    names = [f"test_{name}" for name in (*CRITERIA[task].tabled, *registered_names(task))]
    known = {
        name
        for row in rows
        for name, value in [*row.measured.items(), *row.published.items()]
        if math.isfinite(value)
    }
    return [name for name in names if name in known]
