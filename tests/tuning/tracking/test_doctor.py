"""The doctor: what it finds in folders and stores that were really left so, and what it mends."""

from __future__ import annotations

import contextlib
import json
import shutil
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from mlflow import MlflowClient
from mlflow.entities import Run
from typer.testing import CliRunner

from data_prep import PrepareSettings, prepare
from tuning.cli import app
from tuning.config.schema import DataConfig, LaunchConfig
from tuning.launch.folder import open_launch
from tuning.launch.storage import LaunchStorage
from tuning.tracking.plan import LaunchPlan
from tuning.tracking.projector import Projector
from tuning.tracking.runs import TAG
from tuning.training.checkpoint import TrainState
from tuning.training.config import FitConfig
from tuning.workflows import doctor
from tuning.workflows.doctor import Finding, examine

pytestmark = pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy")

MakeLaunch = Callable[..., Any]


@pytest.fixture(autouse=True)
def enough_space(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor.shutil, "disk_usage", lambda _: SimpleNamespace(free=2**40))


@pytest.fixture
def launch(make_launch: MakeLaunch, store: str, tmp_path: Path) -> Any:
    """A launch of one training with two cells, neither of them there."""
    config = LaunchConfig(storage_path=str(tmp_path / "ray_results"))
    return make_launch(config=config.model_dump(mode="json"), tracking_uri=store)


def found(storage_path: Path, store: str, *, dry_run: bool = False) -> list[Finding]:
    return list(examine(str(storage_path), store, dry_run=dry_run))


def about(findings: list[Finding], words: str) -> Finding:
    (one,) = [finding for finding in findings if words in finding.what]
    return one


def begin(launch: Any, store: str, epoch: int) -> Projector:
    """Bring a training's first epoch to MLflow, as a process does that is then killed."""
    projector = Projector(LaunchPlan(launch.storage), store)
    projector.parent.open()
    (training_id,) = launch.training_ids()
    projector.observe(training_id, [launch.record(epoch)])
    projector.deliver(training_id)
    return projector


def all_runs(client: MlflowClient) -> list[Run]:
    return list(client.search_runs([one.experiment_id for one in client.search_experiments()]))


def statuses(client: MlflowClient) -> dict[str, str]:
    return {run.data.tags.get(f"{TAG}cell_id", ""): run.info.status for run in all_runs(client)}


def files_below(folder: Path) -> dict[Path, int]:
    """Everything in a folder, and when it was last written."""
    return {path: path.stat().st_mtime_ns for path in [folder, *folder.rglob("*")]}


def test_runs_of_a_killed_process_are_ended_and_nothing_else(
    launch: Any, store: str, client: MlflowClient
) -> None:
    begin(launch, store, 1)
    cell = "cnn1-relu-lr0.001-e2"
    assert statuses(client) == {"": "RUNNING", cell: "RUNNING"}
    root = launch.folder.parent

    told = about(found(root, store, dry_run=True), "RUNNING in MLflow")
    assert (told.where, told.mended) == (launch.folder.name, False)
    assert told.what.startswith("2 runs RUNNING")
    assert statuses(client)[cell] == "RUNNING"  # it only told

    findings = found(root, store)
    assert about(findings, "RUNNING in MLflow").mended
    assert set(statuses(client).values()) == {"KILLED"}
    assert "chromatune resume" in about(findings, "1 of 1 trials have not ended").remedy
    left = [one for one in found(root, store) if "prepare" not in one.remedy]
    assert [one.what for one in left] == ["1 of 1 trials have not ended"]


def test_cells_that_mlflow_lacks_are_written_once(
    launch: Any, store: str, client: MlflowClient
) -> None:
    launch.finish_all()
    root = launch.folder.parent
    told = about(found(root, store, dry_run=True), "not in MLflow")
    assert told.what == ("2 ended cells not in MLflow: cnn1-relu-lr0.001-e2, cnn1-relu-lr0.001-e4")
    assert client.search_experiments() == [] or not any(statuses(client).values())
    assert about(found(root, store), "not in MLflow").mended
    assert statuses(client) == {
        "": "FINISHED", "cnn1-relu-lr0.001-e2": "FINISHED", "cnn1-relu-lr0.001-e4": "FINISHED"
    }  # fmt: skip
    assert found(root, store) == []


def test_what_was_half_written_is_deleted_and_whole_checkpoints_stay(
    launch: Any, store: str
) -> None:
    (training_id,) = launch.training_ids()
    folder = launch.folder / training_id
    fit = FitConfig("cnn1", "relu", 1e-3, milestones=(2, 4))
    for number in (0, 1, 2):
        TrainState.create(fit).save(folder / f"checkpoint_00000{number}")
    (torn,) = (folder / "checkpoint_000001").glob("model-*")
    torn.write_bytes(torn.read_bytes()[:-1])
    (folder / "checkpoint_000002" / "state.json").unlink()
    scratch = folder / "cells" / ".cnn1-relu-lr0.001-e2.4711.tmp"
    scratch.mkdir(parents=True)
    (scratch / "model.safetensors").write_bytes(b"half")
    (launch.folder / "launch.json.99.tmp").write_text("{")
    before = files_below(launch.folder)

    told = found(launch.folder.parent, store, dry_run=True)
    assert files_below(launch.folder) == before
    about(told, "checkpoint_000001: the checkpoint is damaged: model-")
    about(told, "checkpoint_000002: there is no checkpoint: state.json is missing")
    assert sum("was never finished" in one.what for one in told) == 2

    findings = found(launch.folder.parent, store)
    assert sum(one.mended is True for one in findings) == 4
    assert [path.name for path in folder.glob("checkpoint_*")] == ["checkpoint_000000"]
    assert not list(launch.folder.rglob("*.tmp"))
    assert TrainState.load(folder / "checkpoint_000000", fit).epoch == 0


def test_without_a_whole_checkpoint_the_trial_begins_anew(launch: Any, store: str) -> None:
    (training_id,) = launch.training_ids()
    folder = launch.folder / training_id / "checkpoint_000000"
    TrainState.create(FitConfig("cnn1", "relu", 1e-3, milestones=(2, 4))).save(folder)
    (torn,) = folder.glob("model-*")
    torn.write_bytes(torn.read_bytes()[:-1])
    told = about(found(launch.folder.parent, store), "the checkpoint is damaged")
    assert told.remedy == "deleted; the trial begins anew"


def test_a_launch_of_another_store_is_left_out_of_this_one(
    make_launch: MakeLaunch, store: str, tmp_path: Path, client: MlflowClient
) -> None:
    config = LaunchConfig(storage_path=str(tmp_path / "ray_results")).model_dump(mode="json")
    there = make_launch(config=config, tracking_uri="http://anna:hunter2@127.0.0.1:1")
    there.finish_all()
    assert not any("MLflow" in one.what for one in found(there.folder.parent, store))
    assert statuses(client) == {}


def test_runs_left_open_in_a_store_that_the_launch_does_not_name_are_ended(
    make_launch: MakeLaunch, store: str, tmp_path: Path, client: MlflowClient
) -> None:
    config = LaunchConfig(storage_path=str(tmp_path / "ray_results")).model_dump(mode="json")
    # As the same server by another name, or as the first store of a launch resumed into a second.
    launch = make_launch(config=config, tracking_uri="http://localhost:5000")
    begin(launch, store, 1)
    root = launch.folder.parent
    assert about(found(root, store, dry_run=True), "RUNNING in MLflow").mended is False
    told = about(found(root, store), "RUNNING in MLflow")
    assert (told.where, told.mended) == (launch.folder.name, True)
    assert set(statuses(client).values()) == {"KILLED"}
    assert not any("MLflow" in one.what for one in found(root, store))


def test_changed_and_missing_pictures_are_told_while_something_is_left_to_train(
    make_launch: MakeLaunch, store: str, tmp_path: Path
) -> None:
    settings = PrepareSettings(dataset="synthetic-faces", count=12, augment=1)
    dataset = prepare(settings, tmp_path / "data").dataset
    data = DataConfig(dataset="synthetic-faces", count=12, augment=1, root=tmp_path / "data")
    root = tmp_path / "ray_results"
    config = LaunchConfig(storage_path=str(root), data=data).model_dump(mode="json")
    options = {"config": config, "tracking_uri": store, "dataset": "synthetic-faces"}
    make_launch(digest=dataset.digest, **options)
    assert not any("digest" in one.what for one in found(root, store))

    array = dataset.folder / "train" / "a.npy"
    whole = array.read_bytes()
    array.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    assert about(found(root, store), "train/a.npy differs from what was written").mended is None
    array.write_bytes(whole)

    shutil.rmtree(root)
    changed = make_launch(digest="e" * 64, **options)
    told = about(found(root, store), "digest")
    assert told.mended is None
    assert f"digest eeeeeeeeeeee, and the prepared data have {dataset.digest[:12]}" in told.what
    changed.finish_all()
    assert not any("digest" in one.what for one in found(root, store))


def test_runs_of_a_launch_that_is_gone_end_only_after_an_hour_without_a_word(
    launch: Any, store: str, client: MlflowClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = launch.folder.parent
    begin(launch, store, 1)
    shutil.rmtree(launch.folder)
    now = time.time()
    heard = max(run.info.start_time for run in all_runs(client)) / 1000
    monkeypatch.setattr(time, "time", lambda: heard + 600)
    told = about(found(root, store), "lies elsewhere")
    assert told.mended is None
    assert set(statuses(client).values()) == {"RUNNING"}

    monkeypatch.setattr(time, "time", lambda: max(now, heard) + 3700)
    assert about(found(root, store, dry_run=True), "without a word").mended is False
    assert set(statuses(client).values()) == {"RUNNING"}
    assert about(found(root, store), "without a word").mended
    assert set(statuses(client).values()) == {"KILLED"}
    assert found(root, store) == []


def test_a_launch_elsewhere_of_which_anything_was_heard_within_the_hour_is_left_whole(
    launch: Any, store: str, client: MlflowClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = launch.folder.parent
    begin(launch, store, 1)
    shutil.rmtree(launch.folder)
    runs = all_runs(client)
    began = max(run.info.start_time for run in runs) / 1000
    (cell,) = (run.info.run_id for run in runs if f"{TAG}cell_id" in run.data.tags)
    # Hours later the parent has logged nothing yet, and its cell has just ended an epoch.
    client.log_metric(cell, "train_loss", 0.5, timestamp=round((began + 10_000) * 1000), step=2)
    monkeypatch.setattr(time, "time", lambda: began + 10_600)
    (told,) = found(root, store)
    assert "lies elsewhere" in told.what
    assert set(statuses(client).values()) == {"RUNNING"}

    # Between two cells the parent is the only one that is open.
    client.set_terminated(cell, end_time=round((began + 13_000) * 1000))
    monkeypatch.setattr(time, "time", lambda: began + 16_000)
    (told,) = found(root, store)
    assert "lies elsewhere" in told.what
    assert statuses(client)[""] == "RUNNING"


def test_a_launch_at_work_is_left_alone(launch: Any, store: str, client: MlflowClient) -> None:
    begin(launch, store, 1)
    root = launch.folder.parent
    with open_launch(launch.folder.name, str(root)).held():
        for dry_run in (False, True):
            (told,) = found(root, store, dry_run=dry_run)
            assert "is in use by process" in told.what
    assert set(statuses(client).values()) == {"RUNNING"}
    about(found(root, store, dry_run=True), "2 runs RUNNING")  # it has let go


def test_a_dry_run_writes_nothing_and_needs_to_write_nothing(
    launch: Any, store: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin(launch, store, 1)
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    before = files_below(tmp_path)
    database = sqlite3.connect(store.removeprefix("sqlite:///"), isolation_level=None)
    with contextlib.closing(database):
        database.execute("BEGIN IMMEDIATE")  # nobody else can write meanwhile
        about(found(launch.folder.parent, store, dry_run=True), "2 runs RUNNING")
    assert files_below(tmp_path) == before


def test_of_a_folder_that_cannot_be_used_it_is_told_and_the_others_are_looked_at(
    make_launch: MakeLaunch, store: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = LaunchConfig(storage_path=str(tmp_path / "ray_results")).model_dump(mode="json")
    options = {"config": config, "tracking_uri": store}
    names = ["grid-a", "grid-b", "grid-c"]
    for name in names:
        make_launch(launch_id=name, **options).finish_all()
    refused = PermissionError(13, "Permission denied")
    read_document = doctor.read_document
    list_dir = LaunchStorage.list_dir

    def read(storage: LaunchStorage) -> dict[str, Any]:
        if storage.name == "grid-a":
            raise refused
        return read_document(storage)

    def listed(storage: LaunchStorage, path: str = "") -> list[str]:
        if storage.name == "grid-b":
            raise refused
        return list_dir(storage, path)

    monkeypatch.setattr(doctor, "read_document", read)
    monkeypatch.setattr(LaunchStorage, "list_dir", listed)
    for dry_run in (True, False):
        told = found(tmp_path / "ray_results", store, dry_run=dry_run)
        assert [one.where for one in told] == names
        assert [one.mended for one in told] == [None, None, not dry_run]
        assert "cannot be used: [Errno 13] Permission denied" in told[0].what
        assert told[0].what == told[1].what


def test_a_folder_that_cannot_be_read_is_told(launch: Any, store: str) -> None:
    launch.finish_all()
    found(launch.folder.parent, store)
    (launch.folder / "launch.json").write_text("{")
    (told,) = found(launch.folder.parent, store)
    assert (told.where, told.mended) == (launch.folder.name, None)
    assert "launch.json cannot be read" in told.what


def test_little_space_is_told(launch: Any, store: str, monkeypatch: pytest.MonkeyPatch) -> None:
    launch.finish_all()
    found(launch.folder.parent, store)
    monkeypatch.setattr(doctor.shutil, "disk_usage", lambda _: SimpleNamespace(free=2**29))
    told = found(launch.folder.parent, store)
    assert [one.what for one in told] == [
        "0.5 GiB are left for launches",
        "0.5 GiB are left for the tracking store",
    ]


def test_the_command_tells_by_its_exit_status_whether_something_is_left(
    launch: Any, store: str
) -> None:
    words = ["doctor", "--storage-path", str(launch.folder.parent), "--tracking-uri", store]
    launch.finish_all()
    told = CliRunner().invoke(app, [*words, "--dry-run"])
    assert told.exit_code == 1
    assert "to mend" in told.stdout
    mended = CliRunner().invoke(app, [*words, "--format", "json"])
    assert mended.exit_code == 0
    assert [one["mended"] for one in json.loads(mended.stdout)] == [True]
    well = CliRunner().invoke(app, words)
    assert (well.exit_code, well.stdout) == (0, "nothing is amiss\n")
