"""Results so far: grids as the original paper's table, searches and running launches by trial."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence

from data_prep import PreparedDataset
from tuning.config.schema import DataConfig, Task
from tuning.display.comparison_table import ResultTable
from tuning.display.grid_table import CellRow, GridTable
from tuning.errors import ChromatuneError, nearest
from tuning.launch.find import find_document, list_documents
from tuning.launch.launch_json import DOCUMENT
from tuning.launch.open_dataset import Log, data_words, open_prepared
from tuning.launch.overview import LaunchState, read_state
from tuning.launch.storage import LaunchStorage
from tuning.tracking.address import store_command
from tuning.tracking.reader import finished_cells
from tuning.tracking.store import open_store
from tuning.tracking.stored_runs import StoredCell
from tuning.training.tasks import CRITERIA
from tuning.workflows.launch_trials import folder_table, stored_table

_SHOWN = 10  # of a launch's trials, beside other tables


def trial_tables(
    task: Task,
    data: DataConfig,
    tracking_uri: str,
    storage_path: str,
    *,
    launch: str | None = None,
    log: Log | None = None,
) -> list[ResultTable]:
    """The grid's table, and the trials of searches and of launches that have not ended.

    With `launch`, only those of one launch. Grid cells are read from MLflow, everything else from
    launch folders under `storage_path`, where they are. Raises ChromatuneError if nothing is found.
    """
    if launch is not None and (state := _in_folder(launch, storage_path)) is not None:
        return _of_launch(task, tracking_uri, state)
    open_store(tracking_uri)
    dataset = open_prepared(data, log)
    grid = finished_cells(tracking_uri, dataset.digest, task, "grid")
    others = finished_cells(
        tracking_uri, dataset.digest, task, "search" if launch is None else None
    )
    states = [
        state
        for state in _states(storage_path)
        if (state.document["task"], state.document["dataset_digest"]) == (task, dataset.digest)
    ]
    if launch is not None:
        grid = [cell for cell in grid if cell.launch_id == launch]
        others = [cell for cell in others if cell.launch_id == launch and cell not in grid]
    tables: list[ResultTable] = []
    if grid:
        measured = next((state.document["baseline"] for state in states), None)
        baseline = measured or _baseline(task, dataset)
        tables.append(GridTable(task, _best_of_each(task, grid), baseline))
    if launch is None:
        tables += [
            folder_table(state, _SHOWN)
            for state in states
            if state.document["kind"] == "search" or state.state == "running"
        ]
    criterion, here = CRITERIA[task], {state.launch_id for state in states}
    elsewhere: dict[str, list[StoredCell]] = {}
    for cell in others:
        if cell.launch_id not in here:
            elsewhere.setdefault(cell.launch_id, []).append(cell)
    metric = f"val_{criterion.name}"
    tables += [stored_table(c, metric, criterion.higher_is_better) for c in elsewhere.values()]
    if tables:
        return tables
    if launch is None:
        raise ChromatuneError(
            f"no finished {task} grid cell on {dataset.name}, no search and no running launch: run "
            f"{store_command(tracking_uri, 'grid', task, *data_words(dataset))}"
        )
    known = {cell.launch_id for cell in finished_cells(tracking_uri, dataset.digest, task)} | here
    raise ChromatuneError(
        f"no finished {task} cell of launch '{launch}' on {dataset.name}"
        f"{nearest(launch, sorted(known))}"
    )


def _of_launch(task: Task, tracking_uri: str, state: LaunchState) -> list[ResultTable]:
    """The trials of a launch whose folder is here; a grid's table, too, if MLflow has its cells."""
    document = state.document
    if document["task"] != task:
        raise ChromatuneError(f"{state.launch_id} is a launch for {document['task']}, not {task}")
    trials = folder_table(state)
    if document["kind"] != "grid":
        return [trials]
    try:
        open_store(tracking_uri)
        cells = finished_cells(tracking_uri, document["dataset_digest"], task, "grid")
    except ChromatuneError:
        return [trials]
    cells = [cell for cell in cells if cell.launch_id == state.launch_id]
    if not cells:
        return [trials]
    table = GridTable(task, _best_of_each(task, cells), document["baseline"])
    return [table] if state.state == "finished" else [table, trials]


def _in_folder(launch: str, storage_path: str) -> LaunchState | None:
    """Where a launch stands; None if its folder is not here."""
    is_id = launch != "last" and "/" not in launch
    if is_id and not LaunchStorage(f"{storage_path.rstrip('/')}/{launch}").exists(DOCUMENT):
        return None
    return read_state(*find_document(launch, storage_path))


def _states(storage_path: str) -> list[LaunchState]:
    """The launches whose folders can be read; `chromatune launches` names the others."""
    states = []
    for found in list_documents(storage_path):
        with contextlib.suppress(ChromatuneError, OSError):
            states.append(read_state(*found))
    return states


def _baseline(task: Task, dataset: PreparedDataset) -> dict[str, float]:
    """Measure the constant predictor, which no launch folder here knows."""
    from tuning.training.data import load_task_data  # imports torch, which takes seconds
    from tuning.training.metrics import constant_baseline

    data = load_task_data(dataset, task)
    return constant_baseline(data.val, data.baseline_ab, task)


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
