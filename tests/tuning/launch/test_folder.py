"""Launches: written down whole, found again by id, folder or age."""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from data_prep import PreparedDataset, PrepareSettings, prepare
from tests.records import leave_cell
from tuning.config.schema import GridConfig, GridLaunchConfig, TrainingConfig
from tuning.errors import ChromatuneError
from tuning.launch.folder import Launch, create_launch, find_launch, list_launches, open_launch
from tuning.launch.records import read_cell
from tuning.launch.trainings import grid_trainings
from tuning.workflows.address_checks import store_of
from tuning.workflows.search_study import config_of

GRID = GridConfig(models=["cnn1"], heads=["relu"], lrs=[1e-3, 1e-4], epochs=[2, 4])


STORE = "sqlite:////somewhere/mlflow.db"


@pytest.fixture(scope="session")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> PreparedDataset:
    settings = PrepareSettings(dataset="synthetic-faces", size=64, augment=1, count=10)
    return prepare(settings, tmp_path_factory.mktemp("data")).dataset


@pytest.fixture
def launched(
    tmp_path: Path, dataset: PreparedDataset, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Launch]:
    """Write a launch down; every one a minute after the last."""
    now = time.time()
    minutes = itertools.count()
    monkeypatch.setattr("tuning.launch.folder.time.time", lambda: now + 60 * next(minutes))

    def make(grid: GridConfig = GRID, kind: str = "grid", **details: Any) -> Launch:
        config = GridLaunchConfig(grid=grid, storage_path=str(tmp_path / "ray_results"))
        trainings = grid_trainings("regression", grid, TrainingConfig(), dataset.size)
        details = {"baseline": {"val_mse": 0.1}, "tracking_uri": STORE} | details
        return create_launch(kind, "regression", config, dataset, trainings, **details)

    return make


def test_a_launch_is_opened_as_it_was_written(launched: Callable[..., Launch]) -> None:
    launch = launched(tags={"chromatune.epoch_scale": "0.5"})
    storage_path, launch_id = str(Path(launch.storage.uri).parent), launch.launch_id
    for name in (launch_id, launch.storage.uri, "last"):
        opened = open_launch(name, storage_path)
        assert opened.document == launch.document
        assert opened.trainings == launch.trainings
        assert (opened.kind, opened.task) == ("grid", "regression")
    assert launch_id.startswith("grid-regression-synthetic-faces-20")
    assert [cell.cell_id for cell in launch.trainings[0].cells] == [
        "cnn1-relu-lr1e-3-e2",
        "cnn1-relu-lr1e-3-e4",
    ]


def test_a_launch_says_where_it_came_from(
    launched: Callable[..., Launch], dataset: PreparedDataset
) -> None:
    document = launched().document
    assert document["dataset_digest"] == dataset.digest
    assert document["experiment"] == "synthetic-faces-regression-grid"
    assert document["config"]["grid"]["lrs"] == [1e-3, 1e-4]
    assert document["versions"]["torch"]
    json.dumps(document, allow_nan=False)


def test_the_newest_launch_is_the_last(launched: Callable[..., Launch]) -> None:
    first, second = launched(), launched()
    storage_path = str(Path(first.storage.uri).parent)
    (Path(storage_path) / "zzz-no-launch").mkdir()
    assert [one.launch_id for one in list_launches(storage_path)] == [
        first.launch_id,
        second.launch_id,
    ]
    assert open_launch("last", storage_path).launch_id == second.launch_id


def test_an_unknown_launch_is_refused(launched: Callable[..., Launch], tmp_path: Path) -> None:
    assert list_launches(str(tmp_path / "nothing")) == []
    with pytest.raises(ChromatuneError, match="start one with `chromatune grid`"):
        open_launch("last", str(tmp_path / "nothing"))
    launch = launched()
    wrong = launch.launch_id.replace("grid", "gird")
    with pytest.raises(ChromatuneError, match=f"did you mean '{launch.launch_id}'"):
        open_launch(wrong, str(Path(launch.storage.uri).parent))
    launch.storage.write_json("launch.json", {**launch.document, "format": 99})
    with pytest.raises(ChromatuneError, match="was not written by this version"):
        open_launch(launch.storage.uri, "")


def test_what_older_versions_wrote_is_read(launched: Callable[..., Launch]) -> None:
    launch = launched()
    document = json.loads(json.dumps(launch.document))
    document["config"]["resources"]["pack"] = 3
    document["config"]["search"] = {"scheduler": "pbt", "perturbation_interval": 5}
    launch.storage.write_json("launch.json", document)
    # Format 1 of a cell's record has neither `format` nor `outcome`.
    training = launch.trainings[0]
    leave_cell(launch.storage, training.training_id, training.cells[0].cell_id)

    (opened,) = list_launches(str(Path(launch.storage.uri).parent))
    assert opened.trainings == launch.trainings
    cell = read_cell(opened.storage, training.training_id, training.cells[0].cell_id)
    assert cell is not None
    assert (cell.format, cell.outcome) == (1, "finished")
    with pytest.raises(ChromatuneError, match="population-based training, which this version"):
        config_of(opened)


def test_files_for_the_trials_lie_in_the_folder(
    launched: Callable[..., Launch], tmp_path: Path
) -> None:
    (tmp_path / "champion").write_bytes(b"weights")
    launch = launched(files={"initial.safetensors": tmp_path / "champion"})
    assert (Path(launch.storage.uri) / "initial.safetensors").read_bytes() == b"weights"


def test_storage_that_cannot_be_written_is_told(
    launched: Callable[..., Launch], tmp_path: Path
) -> None:
    (tmp_path / "ray_results").write_text("a file where the folder should be")
    with pytest.raises(ChromatuneError, match=r"cannot write to the storage path .*--storage-path"):
        launched()


def test_the_same_trainings_are_found_again(
    launched: Callable[..., Launch], dataset: PreparedDataset
) -> None:
    launched()
    newest = launched()
    other = launched(GRID.model_copy(update={"lrs": [1e-2]}))
    launched(kind="finals")
    storage_path = str(Path(newest.storage.uri).parent)

    def find(trainings: Any, digest: str = dataset.digest) -> str | None:
        found = find_launch(storage_path, "grid", digest, trainings)
        return found.launch_id if found else None

    assert find(newest.trainings) == newest.launch_id
    assert find(other.trainings) == other.launch_id
    assert find(newest.trainings[:1]) is None
    assert find(newest.trainings, digest="another") is None


def test_launches_of_the_same_second_get_folders_of_their_own(
    launched: Callable[..., Launch], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now)
    with ThreadPoolExecutor(4) as pool:
        launches = list(pool.map(lambda _: launched(), range(4)))
    first, *others = sorted((one.launch_id for one in launches), key=len)
    assert sorted(others) == [f"{first}-{number}" for number in (2, 3, 4)]
    for one in launches:
        assert one.storage.read_json("launch.json")["launch_id"] == one.launch_id


def test_a_folder_that_cannot_be_written_is_told(
    launched: Callable[..., Launch], monkeypatch: pytest.MonkeyPatch
) -> None:
    def denied(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    launch = launched()
    monkeypatch.setattr(Path, "open", denied)
    with pytest.raises(ChromatuneError, match=r"cannot write to the launch folder .*denied"):
        launch.held().__enter__()


def test_a_launch_elsewhere_is_named_by_its_folder(
    launched: Callable[..., Launch], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    launch = launched()
    assert launch.found_by == launch.storage.uri
    monkeypatch.chdir(tmp_path)
    assert launch.found_by == launch.launch_id


def test_a_launch_is_resumed_in_its_own_store_unless_told_otherwise(
    launched: Callable[..., Launch], monkeypatch: pytest.MonkeyPatch
) -> None:
    launch = launched()
    secret = launched(tracking_uri="http://anna:geheim@mlflow.example:5000")
    assert "geheim" not in json.dumps(secret.document)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    with pytest.raises(ChromatuneError, match="--tracking-uri"):
        store_of(secret, None)
    assert store_of(launch, None) == STORE
    assert store_of(launch, "http://localhost:5000") == "http://localhost:5000"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://localhost:6000")
    assert store_of(launch, None) == "http://localhost:6000"
