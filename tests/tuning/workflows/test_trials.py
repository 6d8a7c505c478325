"""The table of trials: of all launches and seeds, the best cell for each place."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from data_prep import PreparedDataset
from tests.records import leave_cell
from tests.tuning.workflows.conftest import MakeLaunch
from tuning.config.schema import DataConfig, Task
from tuning.errors import ChromatuneError
from tuning.launch.lease import leased
from tuning.launch.open_dataset import open_prepared
from tuning.launch.records import FailureRecord, write_failure
from tuning.launch.storage import LaunchStorage
from tuning.launch.trainings import Cell, Training
from tuning.tracking.stored_runs import StoredCell
from tuning.training.config import FitConfig
from tuning.workflows import trials as trials
from tuning.workflows.trials import trial_tables

STORE = "sqlite:///nowhere/mlflow.db"
NOWHERE = "/nowhere/ray_results"


def trials_table(task: Task, data: DataConfig, store: str, **options: Any) -> Any:
    """The only table, of a grid."""
    (table,) = trial_tables(task, data, store, NOWHERE, **options)
    return table


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> DataConfig:
    root = tmp_path_factory.mktemp("data")
    return DataConfig(dataset="synthetic-faces", root=root, size=32, count=20, augment=1)


@pytest.fixture(scope="module")
def dataset(data: DataConfig) -> PreparedDataset:
    return open_prepared(data)


def cell(
    run_id: str, value: float, *, launch: str = "grid-1", kind: str = "grid", **params: Any
) -> StoredCell:
    """A finished cell with `value` as its validation MSE or PSNR."""
    params = {"model": "cnn1", "head": "relu", "lr": "0.001", "epochs": "3", "seed": "0"} | params
    metric = "val_psnr" if params["model"] == "autoencoder" else "val_mse"
    return StoredCell(
        run_id=run_id,
        name=run_id,
        experiment_id="1",
        training_id="",
        task="regression",
        outcome="finished",
        started=0,
        launch_id=launch,
        cell_id=f"{params['model']}-{params['head']}-lr{params['lr']}-e{params['epochs']}",
        kind=kind,
        dataset="synthetic-faces",
        dataset_digest="d" * 64,
        params=params,
        metrics={metric: value, "train_loss": 0.5, "test_mse": 1.0},
        model_id=f"m-{run_id}",
        parent_model=None,
        published_epochs=300,
    )


@pytest.fixture
def tracked(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[tuple[Any, ...]]]:
    """Let MLflow hold these cells; the returned list tells what was asked for."""

    def hold(*cells: StoredCell) -> list[tuple[Any, ...]]:
        asked: list[tuple[Any, ...]] = []

        def finished_cells(*query: Any) -> list[StoredCell]:
            asked.append(query[:3])
            kind = query[3] if len(query) > 3 else None
            return [cell for cell in cells if kind in (None, cell.kind)]

        monkeypatch.setattr(trials, "open_store", lambda _: None)
        monkeypatch.setattr(trials, "finished_cells", finished_cells)
        return asked

    return hold


@pytest.mark.parametrize(
    ("task", "model", "best"), [("regression", "cnn1", "low"), ("colorizer", "autoencoder", "high")]
)
def test_of_several_launches_and_seeds_the_best_by_val_is_shown(
    data: DataConfig, tracked: Any, task: Task, model: str, best: str
) -> None:
    cells = [
        cell("middle", 20.0, model=model),
        cell("low", 10.0, model=model, launch="grid-2"),
        cell("high", 30.0, model=model, launch="grid-3", seed="7"),
        cell("elsewhere", 15.0, model=model, epochs="5"),
    ]
    for order in (cells, cells[::-1]):
        tracked(*order)
        table = trials_table(task, data, STORE)
        shown = {row.epochs: row for row in table.cells}
        assert len(table.cells) == 2
        assert shown[3].run_id == best
        assert shown[5].run_id == "elsewhere"
        assert shown[3].launch_id != "grid-1"


def test_every_axis_of_the_grid_is_a_place_of_its_own(data: DataConfig, tracked: Any) -> None:
    tracked(
        cell("a", 1.0),
        cell("b", 2.0, model="cnn2"),
        cell("c", 3.0, lr="0.0001"),
        cell("d", 4.0, epochs="1"),
        cell("e", 5.0, head="tanh"),
    )
    table = trials_table("regression", data, STORE)
    assert [row.run_id for row in table.cells] == ["a", "b", "c", "d", "e"]
    assert [(row.lr, row.epochs) for row in table.cells][2:4] == [(1e-4, 3), (1e-3, 1)]


def test_a_row_shows_val_alone_beside_the_mean_of_the_training_set(
    data: DataConfig, dataset: PreparedDataset, tracked: Any
) -> None:
    asked = tracked(cell("a", 1.0))
    table = trials_table("regression", data, STORE)
    (row,), baseline = table.cells, table.baseline
    assert set(asked) == {(STORE, dataset.digest, "regression")}
    assert row.metrics == {"val_mse": 1.0}
    assert (row.outcome, row.published_epochs, row.dataset) == ("finished", 300, "synthetic-faces")
    train, val = dataset.planes("train"), dataset.planes("val")
    errors = [
        getattr(val, name).mean(axis=(1, 2)) - getattr(train, name).mean() for name in ("a", "b")
    ]
    assert baseline["val_mse"] == pytest.approx(np.square(errors).mean() / 255**2, rel=1e-4)


def test_one_launch_is_shown_alone_and_a_misspelled_one_is_named(
    data: DataConfig, tracked: Any
) -> None:
    tracked(cell("a", 1.0), cell("b", 2.0, launch="grid-regression-1"))
    (row,) = trials_table("regression", data, STORE, launch="grid-regression-1").cells
    assert row.run_id == "b"
    with pytest.raises(ChromatuneError, match=r"'grid-regresion-1'.*'grid-regression-1'"):
        trials_table("regression", data, STORE, launch="grid-regresion-1")


def test_without_a_cell_the_command_that_makes_one_is_named(data: DataConfig, tracked: Any) -> None:
    tracked()
    with pytest.raises(ChromatuneError, match="`chromatune grid colorizer --dataset synthetic-"):
        trials_table("colorizer", data, STORE)


SEARCH = {
    "space": {
        "model": {"type": "categorical", "choices": ["cnn1"]},
        "lr": {"type": "float", "low": 1e-4, "high": 1e-2},
        "epochs": 4,
        "model_kwargs.channels": {"type": "categorical", "choices": [8, 16]},
    },
    "objectives": ["val_rmse_lab_a:min"],
}


@pytest.fixture
def search(make_launch: MakeLaunch, dataset: PreparedDataset) -> LaunchStorage:
    """A search of five trials: finished, better, running, failed and waiting."""
    more = {"kind": "search", "trainings": [], "dataset": "synthetic-faces"}
    config = {"config": {"search": SEARCH}}
    storage = make_launch("search-1", **more, **config, dataset_digest=dataset.digest)
    for number in range(5):
        fit = FitConfig("cnn1", "relu", 1e-3 * (1 + number), (4,))
        name = f"000{number}-cnn1-relu"
        training = Training(name, fit, (Cell(name, 4),))
        storage.write_json(f"{name}/training.json", training.to_dict())
        if number < 2:
            history = [{"epoch": 4, "seconds": 1.0}]
            metrics = {"val_rmse_lab_a": 9.0 - number, "val_mse": number}
            leave_cell(storage, name, name, metrics=metrics, history=history)
    failure = FailureRecord(outcome="failed", message="out of memory", history=[])
    write_failure(storage, "0003-cnn1-relu", failure)
    storage.write_json(
        "progress.json", {"0002-cnn1-relu": {"status": "running", "epoch": 3, "value": 9.5}}
    )
    return storage


@pytest.mark.parametrize("named", [True, False])
def test_a_running_search_shows_finished_running_and_failed_trials(
    named: bool, search: LaunchStorage, data: DataConfig, tracked: Any, storage_path: str
) -> None:
    tracked()
    with leased(search):
        name = "search-1" if named else None
        (table,) = trial_tables("regression", data, STORE, storage_path, launch=name)
        found = table.to_json()
    assert (found["launch_id"], found["state"], found["metric"]) == (
        *("search-1", "running", "val_rmse_lab_a"),
    )
    assert found["counts"] == {"done": 2, "running": 1, "failed": 1, "waiting": 1}
    shown = [(row["trial"][:4], row["status"], row["value"]) for row in found["trials"]]
    assert shown == [
        *[("0001", "done", 8.0), ("0000", "done", 9.0), ("0002", "running", 9.5)],
        *[("0003", "failed", None), ("0004", "waiting", None)],
    ]
    assert [row["epoch"] for row in found["trials"]] == [4, 4, 3, 0, 0]
    assert found["trials"][0]["settings"] == {"model": "cnn1", "lr": 2e-3}
    assert found["trials"][3]["error"] == "out of memory"
    lines = table.markdown()
    assert "★8.00" in lines
    assert "lr=4e-3" in lines
    assert "model=" not in lines  # the names of the trials say it
    assert "out of memory" in lines
    rows = table.records()
    assert [(row["trial"][:4], row["val_rmse_lab_a"]) for row in rows[:2]] == [
        *[("0001", 8.0), ("0000", 9.0)],
    ]
    assert [row["val_mse"] for row in rows[:2]] == [1.0, 0.0]
    assert [row["lr"] for row in rows] == [2e-3, 1e-3, 3e-3, 4e-3, 5e-3]
    assert rows[3]["error"] == "out of memory"


@pytest.mark.usefixtures("search")
def test_of_a_long_search_the_best_are_shown_until_it_is_named(
    data: DataConfig,
    tracked: Any,
    storage_path: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tracked(cell("grid", 1.0), cell("old", 2.0, launch="search-0", kind="search"))
    monkeypatch.setattr(trials, "_SHOWN", 2)
    grid, here, elsewhere = trial_tables("regression", data, STORE, storage_path)
    assert [row.run_id for row in grid.cells] == ["grid"]
    assert "3 more: `chromatune trials --launch search-1`" in here.tables()[0].notes
    assert len(here.tables()[0].rows) == 2
    assert [row.trial[:4] for row in elsewhere.trials] == ["cnn1"]
    assert "search-0: search on synthetic-faces" in elsewhere.tables()[0].caption
    (named,) = trial_tables("regression", data, STORE, storage_path, launch="search-0")
    assert named.to_json()["trials"][0]["value"] == 2.0


def test_a_running_grid_shows_what_is_not_finished_yet(
    make_launch: MakeLaunch, data: DataConfig, tracked: Any, storage_path: str
) -> None:
    storage = make_launch("grid-7")
    tracked(cell("a", 1.0, launch="grid-7"))
    with leased(storage):
        grid, running = trial_tables("regression", data, STORE, storage_path, launch="grid-7")
    assert [row.run_id for row in grid.cells] == ["a"]
    assert [row.status for row in running.trials] == ["waiting", "waiting"]
    with pytest.raises(ChromatuneError, match="grid-7 is a launch for regression, not colorizer"):
        trial_tables("colorizer", data, STORE, storage_path, launch="grid-7")


def test_results_are_listed_without_torch(
    search: LaunchStorage, data: DataConfig, storage_path: str
) -> None:
    known = search.read_json("launch.json")
    search.write_json("launch.json", known | {"baseline": {"val_mse": 0.25, "val_rmse_lab_a": 9.5}})
    program = f"""
import sys
from pathlib import PosixPath
from tuning.config.schema import DataConfig
from tuning.tracking.stored_runs import StoredCell
from tuning.workflows import trials
trials.open_store = lambda uri: None
trials.finished_cells = lambda *query: [{cell("grid", 1.0)!r}] if query[-1] == "grid" else []
found = trials.trial_tables("regression", DataConfig(**{data.model_dump()!r}), "", {storage_path!r})
print(*(table.markdown() for table in found))
print({{"torch", "ray", "optuna", "matplotlib"}} & sys.modules.keys())"""
    root = Path(__file__).parents[3]
    answer = subprocess.run(
        [sys.executable, "-c", program], cwd=root, capture_output=True, text=True, check=True
    )
    assert answer.stdout.splitlines()[-1] == "set()"
    assert "constant predictor: 2.50e-1" in answer.stdout
    assert "lr=4e-3" in answer.stdout
