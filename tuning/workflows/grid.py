"""Grids: every combination of models, heads, learning rates and epochs."""

from __future__ import annotations

from tuning.config.schema import GridLaunchConfig, Task
from tuning.launch.open_dataset import open_prepared
from tuning.launch.outcomes import LaunchOutcome
from tuning.launch.trainings import grid_trainings
from tuning.workflows.launch_results import conclude_on_val as conclude
from tuning.workflows.run_launch import Session, start_launch

__all__ = ["conclude", "run_grid"]


def run_grid(task: Task, config: GridLaunchConfig, session: Session) -> LaunchOutcome:
    """Train every cell of the grid and track it."""
    dataset = open_prepared(config.data, session.log)
    trainings = grid_trainings(task, config.grid, config.training, dataset.size)
    tags = {}
    if config.grid.epoch_scale is not None:
        tags["chromatune.epoch_scale"] = f"{config.grid.epoch_scale:g}"
    if config.grid.independent_cells:
        tags["chromatune.independent_cells"] = "true"
    return start_launch("grid", task, config, dataset, trainings, session, tags=tags)
