"""Grids: every combination of models, heads, learning rates and epochs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tuning.config.schema import GridLaunchConfig, Task
from tuning.launch.datasets import open_prepared
from tuning.launch.outcomes import LaunchOutcome
from tuning.launch.trainings import grid_trainings
from tuning.workflows.conclusion import Conclusion, conclude_on_val
from tuning.workflows.launching import start_launch

if TYPE_CHECKING:
    from rich.console import Console


def run_grid(
    task: Task,
    config: GridLaunchConfig,
    *,
    tracking_uri: str | None,
    console: Console | None,
    reuse: bool = False,
) -> LaunchOutcome:
    """Train every cell of the grid and track it."""
    dataset = open_prepared(config.data)
    trainings = grid_trainings(task, config.grid, config.training, dataset.size)
    tags = {}
    if config.grid.epoch_scale is not None:
        tags["chromatune.epoch_scale"] = f"{config.grid.epoch_scale:g}"
    if config.grid.independent_cells:
        tags["chromatune.independent_cells"] = "true"
    return start_launch(
        *("grid", task, config, dataset, trainings),
        tracking_uri=tracking_uri,
        console=console,
        reuse=reuse,
        tags=tags,
    )


def conclude_grid(
    outcome: LaunchOutcome,
    tracking_uri: str | None = None,  # noqa: ARG001  (as other kinds of launches are concluded)
) -> Conclusion:
    """Lay the launch's cells out as a table of the grid."""
    return conclude_on_val(outcome)
