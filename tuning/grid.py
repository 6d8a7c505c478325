"""The report's grids, whole or shrunk."""

from __future__ import annotations

from rich.console import Console

from tuning.conclusion import Conclusion
from tuning.config import GridLaunchConfig, Task
from tuning.data import load_task_data
from tuning.datasets import open_prepared
from tuning.launch import create_launch
from tuning.metrics import constant_baseline
from tuning.runner import LaunchOutcome, run_launch
from tuning.spaces import grid_trainings
from tuning.tables import CellRow, as_records, grid_tables


def run_grid(
    task: Task, config: GridLaunchConfig, *, tracking_uri: str, console: Console
) -> LaunchOutcome:
    """Train every cell of the grid on Ray Tune and project it into MLflow."""
    dataset = open_prepared(config.data)
    trainings = grid_trainings(task, config.grid, config.training, dataset.size)
    data = load_task_data(dataset, task)
    tags = {}
    if config.grid.epoch_scale is not None:
        tags["chromatune.epoch_scale"] = f"{config.grid.epoch_scale:g}"
    if config.grid.independent_cells:
        tags["chromatune.independent_cells"] = "true"
    launch = create_launch(
        "grid",
        task,
        config,
        dataset,
        trainings,
        baseline=constant_baseline(data.val, data.baseline_ab, task, "val_"),
        tags=tags,
    )
    return run_launch(
        launch,
        data,
        config.resources,
        address=config.address,
        tracking_uri=tracking_uri,
        console=console,
    )


def conclude_grid(outcome: LaunchOutcome) -> Conclusion:
    """Lay the launch's cells out as the report's table."""
    launch = outcome.launch
    cells = [
        CellRow(
            cell_id=cell.cell_id,
            model=cell.training.fit.model,
            head=cell.training.fit.head,
            lr=cell.training.fit.lr,
            epochs=cell.epochs,
            metrics=cell.metrics,
            outcome=cell.outcome,
            launch_id=launch.launch_id,
            published_epochs=cell.published_epochs,
        )
        for cell in outcome.cells
    ]
    baseline = launch.document["baseline"]
    return Conclusion(
        outcome,
        [grid_tables(cells, launch.task, baseline)],
        as_records(cells, launch.task, baseline),
    )
