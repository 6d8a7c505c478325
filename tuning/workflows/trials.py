"""The grid as the original paper's table, read from MLflow."""

from __future__ import annotations

from collections.abc import Sequence

from tuning.config.schema import DataConfig, Task
from tuning.display.grid_table import CellRow, GridTable
from tuning.errors import ChromatuneError, nearest
from tuning.launch.open_dataset import Log, open_prepared
from tuning.tracking.reader import finished_cells
from tuning.tracking.store import open_store
from tuning.tracking.stored_runs import StoredCell
from tuning.training.data import load_task_data
from tuning.training.metrics import constant_baseline
from tuning.training.tasks import CRITERIA


def trials_table(
    task: Task,
    data: DataConfig,
    tracking_uri: str,
    *,
    launch: str | None = None,
    log: Log | None = None,
) -> GridTable:
    """Collect the finished grid cells on these data: of one launch, or the best of each kind.

    Raises ChromatuneError if there is none.
    """
    open_store(tracking_uri)
    dataset = open_prepared(data, log)
    cells = finished_cells(tracking_uri, dataset.digest, task, "grid")
    if launch is not None:
        launches = sorted({cell.launch_id for cell in cells})
        cells = [cell for cell in cells if cell.launch_id == launch]
        if not cells:
            raise ChromatuneError(
                f"no finished {task} cell of launch '{launch}' on {dataset.name}"
                f"{nearest(launch, launches)}"
            )
    if not cells:
        raise ChromatuneError(
            f"no finished {task} grid cell on {dataset.name}: run "
            f"`chromatune grid {task} --dataset {dataset.name}`"
        )
    task_data = load_task_data(dataset, task)
    baseline = constant_baseline(task_data.val, task_data.baseline_ab, task, "val_")
    return GridTable(task, _best_of_each(task, cells), baseline)


def _best_of_each(task: Task, cells: Sequence[StoredCell]) -> list[CellRow]:
    """One row for each place in the table: of several seeds or launches the best by val."""
    criterion = CRITERIA[task]
    best: dict[tuple[str, ...], StoredCell] = {}
    for cell in cells:
        place = tuple(cell.params[key] for key in ("model", "head", "lr", "epochs"))
        rival = best.get(place)
        own = criterion.value(cell.metrics, "val_")
        if rival is None or criterion.better(own, criterion.value(rival.metrics, "val_")):
            best[place] = cell
    return [_row(cell) for cell in best.values()]


def _row(cell: StoredCell) -> CellRow:
    return CellRow(
        cell_id=cell.cell_id,
        model=cell.params["model"],
        head=cell.params["head"],
        lr=float(cell.params["lr"]),
        epochs=int(cell.params["epochs"]),
        metrics={key: value for key, value in cell.metrics.items() if key.startswith("val_")},
        run_id=cell.run_id,
        launch_id=cell.launch_id,
        published_epochs=cell.published_epochs,
        dataset=cell.dataset,
    )
