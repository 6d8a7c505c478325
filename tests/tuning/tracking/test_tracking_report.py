"""A real store, read for a report: whole, half-finished, foreign, damaged, empty."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient

from data_prep import PrepareSettings, prepare
from tuning.report import build_report, write_report
from tuning.tracking.delivery import project_launch
from tuning.tracking.reader import read_store, ui_address
from tuning.tracking.speedup import SpeedupRun
from tuning.training.speedup import Half, speedup_training

MakeLaunch = Callable[..., Any]


@pytest.fixture
def launch(make_launch: MakeLaunch, store: str) -> Any:
    """A projected grid of two models, two cells each."""
    made = make_launch("regression", models=["cnn1", "cnn2"])
    made.finish_all()
    project_launch(made.storage, store)
    return made


def test_a_launch_comes_back_as_it_was_written(launch: Any, store: str) -> None:
    read, archive = read_store(store)
    (found,) = read.launches
    assert (found.launch_id, found.kind, found.task) == (launch.folder.name, "grid", "regression")
    assert found.document["trainings"] == json.loads(json.dumps(launch.document["trainings"]))
    assert found.planned == len(found.finished) == 4
    assert found.baseline["val_mse"] == launch.document["baseline"]["val_mse"]
    assert found.photographs
    cell = next(one for one in found.cells if one.cell_id == "cnn2-relu-lr0.001-e4")
    settings = (cell.model, cell.head, cell.lr, cell.epochs, cell.seed)
    assert settings == ("cnn2", "relu", 1e-3, 4, "0")
    assert cell.value("val_mse") == pytest.approx(1e-3 / 4)
    assert archive.history(cell.run_id, "train_loss") == [
        (epoch, pytest.approx(1 / epoch)) for epoch in (1, 2, 3, 4)
    ]
    assert archive.history(cell.run_id, "no_such_metric") == []
    # Each training counts once, however many cells it has.
    assert found.training_seconds == {"cpu": pytest.approx(8.0)}


@pytest.mark.usefixtures("launch")
@pytest.mark.parametrize(
    ("ui", "address"),
    [(None, "http://127.0.0.1:5000/#/"), ("https://ours/", "https://ours/#/"), ("", "None")],
)
def test_cells_link_to_their_runs_in_the_ui(store: str, ui: str | None, address: str) -> None:
    read, _ = read_store(store, ui)
    assert str(read.link(read.launches[0].cells[0])).startswith(address)


@pytest.mark.parametrize(
    ("uri", "ui"),
    [
        ("http://me:secret@host:5001", "http://host:5001"),
        ("https://host/mlflow/", "https://host/mlflow"),
        ("postgresql://me:secret@host/db", "http://127.0.0.1:5000"),
        ("databricks://profile", ""),
    ],
)
def test_the_ui_address_a_store_is_told_without_passwords(uri: str, ui: str) -> None:
    assert ui_address(uri) == ui


def test_a_half_finished_launch_is_read(make_launch: MakeLaunch, store: str) -> None:
    made = make_launch("regression", models=["cnn1", "cnn2"], lrs=[1e-3, 1e-4])
    first, second, *_ = made.training_ids()
    made.finish_cell(first, 2)
    made.fail(second, 1, "the training diverged")
    project_launch(made.storage, store)
    (found,) = read_store(store)[0].launches
    assert (found.planned, len(found.finished)) == (8, 1)
    assert [cell.outcome for cell in found.cells if not cell.finished] == ["diverged"]


@pytest.mark.usefixtures("launch")
def test_runs_of_others_are_counted_and_left_out(store: str, client: MlflowClient) -> None:
    other = client.create_experiment("someone-elses")
    for name in ("a", "b"):
        run = client.create_run(other, run_name=name)
        client.log_param(run.info.run_id, "model", "cnn2")
        client.log_metric(run.info.run_id, "val_mse", 0.0)
    client.create_run(other, tags={"chromatune.launch_id": "x"}, run_name="broken")
    cell = client.get_run(read_store(store)[0].launches[0].cells[0].run_id)
    ours = {key: text for key, text in cell.data.tags.items() if key.startswith("chromatune.")}
    client.create_run(cell.info.experiment_id, tags=ours, run_name="died before its parameters")
    read, _ = read_store(store)
    assert (len(read.launches), read.foreign_runs) == (1, 2)
    assert set(read.broken_runs) == {"broken", "died before its parameters"}


@pytest.mark.usefixtures("launch")
def test_a_store_without_its_artifacts_still_gives_a_report(store: str, tmp_path: Path) -> None:
    shutil.rmtree(tmp_path / "mlruns" / "artifacts")
    read, archive = read_store(store)
    (found,) = read.launches
    assert found.document == {}
    assert len(found.finished) == 4
    files = write_report(build_report(read, archive), tmp_path / "report")
    assert all(path.is_file() for path in files)


@pytest.mark.usefixtures("launch")
def test_a_deleted_parent_run_leaves_its_cells(store: str, client: MlflowClient) -> None:
    read, _ = read_store(store)
    client.delete_run(str(read.launches[0].run_id))
    (found,) = read_store(store)[0].launches
    assert (found.run_id, found.kind, found.dataset) == (None, "grid", "faces")
    assert len(found.cells) == 4
    assert read_store(store)[0].link(found) is None


@pytest.mark.usefixtures("launch")
@pytest.mark.parametrize("content", ["{", "[1]"])
def test_a_damaged_launch_document_is_as_none(
    store: str, client: MlflowClient, content: str
) -> None:
    read, _ = read_store(store)
    client.log_text(str(read.launches[0].run_id), content, "launch.json")
    assert read_store(store)[0].launches[0].document == {}


def test_halves_make_one_run_with_the_factor(
    store: str, client: MlflowClient, tmp_path: Path
) -> None:
    settings = PrepareSettings(dataset="synthetic-faces", count=20, size=64, augment=1)
    data = prepare(settings, tmp_path).dataset
    run = SpeedupRun(store, data, speedup_training(64, epochs=2))
    run.add(Half("cpu", "a CPU", (4.0, 2.0)))
    assert run.factor is None
    (found,) = read_store(store)[0].speedups
    assert (found.cpu_seconds, math.isnan(found.factor)) == (6.0, True)

    run.add(Half("gpu", "a GPU", (1.0, 0.5)))
    assert run.factor == pytest.approx(4.0)
    read, _ = read_store(store)
    assert read.launches == ()
    (found,) = read.speedups
    assert (found.cpu_seconds, found.gpu_seconds, found.factor) == (6.0, 1.5, pytest.approx(4.0))
    assert (found.cpu, found.gpu, found.dataset) == ("a CPU", "a GPU", "synthetic-faces")
    assert found.params["epochs"] == "2"
    stored = client.get_run(found.run_id)
    assert stored.info.status == "FINISHED"
    assert stored.data.metrics["speedup"] == pytest.approx(4.0)
    assert stored.data.tags["chromatune.dataset_digest"] == data.digest
    history = client.get_metric_history(found.run_id, "cpu_epoch_seconds")
    assert [(one.step, one.value) for one in history] == [(1, 4.0), (2, 2.0)]
