"""The doctor: the problems that it finds in folders and stores, and what it fixes."""

from __future__ import annotations

import contextlib
import json
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient
from typer.testing import CliRunner

from tests.tuning.tracking.reading import all_runs, database, outcomes
from tuning.cli import app
from tuning.errors import ChromatuneError
from tuning.launch import folder as launch_folder
from tuning.launch.folder import open_launch
from tuning.launch.storage import LaunchStorage
from tuning.search.budget import Allowance, Budget
from tuning.tracking.cell_runs import Projector
from tuning.tracking.expected_runs import LaunchPlan
from tuning.tracking.runs import TAG
from tuning.training.checkpoint import TrainState
from tuning.training.config import FitConfig
from tuning.workflows.doctor import Finding, examine

MakeLaunch = Callable[..., Any]
CELLS = ["cnn1-relu-lr0.001-e2", "cnn1-relu-lr0.001-e4"]
UNFINISHED = "1 trial unfinished"


@pytest.fixture
def launch(make_launch: MakeLaunch, store: str) -> Any:
    """A launch of one training with two cells, neither of which exists yet."""
    return make_launch(config={}, tracking_uri=store)


@pytest.fixture
def search(make_launch: MakeLaunch, store: str) -> Any:
    """A search for 3 trials of 6 epochs, of which two have begun."""
    space = {"lr": {"type": "float"}, "loss": {"type": "categorical"}}
    config = {"search": {"space": space, "sampler": "tpe", "scheduler": None, "num_samples": 3}}
    launch = make_launch(kind="search", models=[], epochs=[6], config=config, tracking_uri=store)
    launch.add_trial("0000-cnn1", "cnn1", 1e-3)
    launch.add_trial("0001-cnn1", "cnn1", 1e-4)
    Budget(launch.storage).allow(Allowance(3, cpu_hours=1.0))
    return launch


def found(launch: Any, store: str, *, dry_run: bool = False) -> list[Finding]:
    return list(examine(str(launch.folder.parent), store, dry_run=dry_run))


def problems(launch: Any, store: str, *, dry_run: bool = False) -> list[tuple[str, str]]:
    return [(one.problem, one.status) for one in found(launch, store, dry_run=dry_run)]


def begin(launch: Any, store: str) -> None:
    """Bring a training's first epoch to MLflow, as a process does that is then killed."""
    projector = Projector(LaunchPlan(launch.storage), store)
    projector.parent.open()
    (training_id,) = launch.training_ids()
    projector.observe(training_id, [launch.record(1)])
    projector.deliver(training_id)


def files_below(folder: Path) -> dict[Path, int]:
    """Everything in a folder, and when it was last written."""
    return {path: path.stat().st_mtime_ns for path in [folder, *folder.rglob("*")]}


@pytest.mark.parametrize("own_store", [None, "http://localhost:5000"], ids=["same", "other name"])
def test_runs_of_a_killed_process_are_ended_and_nothing_else(
    make_launch: MakeLaunch, store: str, client: MlflowClient, own_store: str | None
) -> None:
    launch = make_launch(config={}, tracking_uri=own_store or store)
    begin(launch, store)
    problem = "2 runs RUNNING in MLflow, but no process trains them"
    expected = [(problem, "fixable"), (UNFINISHED, "needs you")]
    assert problems(launch, store, dry_run=True) == expected
    assert {run.info.status for run in all_runs(client)} == {"RUNNING"}

    assert problems(launch, store) == [(problem, "fixed"), (UNFINISHED, "needs you")]
    assert {run.info.status for run in all_runs(client)} == {"KILLED"}
    (left,) = found(launch, store)
    assert left.action == f"resume with `chromatune resume {launch.folder}`"


def test_additional_runs_of_a_cell_are_ended_once(
    launch: Any, store: str, client: MlflowClient
) -> None:
    """A client that had no answer repeats the call that creates a run."""
    launch.finish_all()
    found(launch, store)
    for run in all_runs(client):
        for _ in range(4):  # some sort before and some after the one that counts
            tags = {**run.data.tags, f"{TAG}outcome": "running"}
            client.create_run(run.info.experiment_id, run.info.start_time, tags)
    assert problems(launch, store) == [
        ("12 runs RUNNING in MLflow, but no process trains them", "fixed")
    ]
    expected = [("FINISHED", "finished"), *4 * [("KILLED", "stopped")]]
    assert outcomes(client) == dict.fromkeys(["", *CELLS], expected)
    assert found(launch, store) == []


@pytest.mark.parametrize("own_store", ["", "sqlite:////no/such/machine/mlflow.db", None])
def test_cells_that_mlflow_lacks_are_written_once(
    make_launch: MakeLaunch, store: str, client: MlflowClient, own_store: str | None
) -> None:
    """Also those of a launch trained without MLflow, or on another machine and copied here."""
    launch = make_launch(config={}, tracking_uri=store if own_store is None else own_store)
    launch.finish_all()
    problem = f"2 cells not in MLflow: {', '.join(CELLS)}"
    assert problems(launch, store, dry_run=True) == [(problem, "fixable")]
    assert all_runs(client) == []
    assert problems(launch, store) == [(problem, "fixed")]
    assert outcomes(client) == {key: [("FINISHED", "finished")] for key in ["", *CELLS]}
    assert found(launch, store) == []


def test_a_launch_of_another_store_is_not_written_to_this_one(
    make_launch: MakeLaunch, store: str, client: MlflowClient
) -> None:
    launch = make_launch(config={}, tracking_uri="http://anna:hunter2@127.0.0.1:1")
    launch.finish_all()
    assert found(launch, store) == []
    assert all_runs(client) == []


def test_pruned_stopped_and_diverged_trials_that_mlflow_lacks_are_written(
    search: Any, store: str, client: MlflowClient
) -> None:
    search.finish_cell("0000-cnn1", 6, trained=3, outcome="pruned")
    search.finish_cell("0001-cnn1", 6, trained=3, outcome="stopped")
    search.fail(search.add_trial("0002-cnn1", "cnn1", 1e-2), 3, "the loss is nan")
    Budget(search.storage).ended(is_over=True)
    problem = "3 cells not in MLflow: 0000-cnn1-e6, 0001-cnn1-e6, 0002-cnn1-e6"
    assert problems(search, store) == [(problem, "fixed"), (UNFINISHED, "needs you")]
    assert outcomes(client)["0000-cnn1-e6"] == [("FINISHED", "pruned")]
    assert outcomes(client)["0001-cnn1-e6"] == [("KILLED", "stopped")]
    assert outcomes(client)["0002-cnn1-e6"] == [("FAILED", "diverged")]
    assert problems(search, store) == [(UNFINISHED, "needs you")]


def test_a_search_that_was_killed_between_two_trials_is_unfinished(search: Any, store: str) -> None:
    for name in search.training_ids():
        search.finish_cell(name, 6)
    found(search, store)
    early = [("the search ended early, after 2 of 3 trials", "needs you")]
    assert problems(search, store) == early
    Budget(search.storage).ended(is_over=True)
    assert found(search, store) == []
    Budget(search.storage).allow(Allowance(1, cpu_hours=0.0))  # its hours are used up
    assert found(search, store) == []


def test_incomplete_files_are_deleted_and_whole_checkpoints_stay(launch: Any, store: str) -> None:
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

    listed = [one.problem for one in found(launch, store, dry_run=True) if one.status == "fixable"]
    assert files_below(launch.folder) == before
    assert sorted(listed) == [
        f"{training_id}/cells/{scratch.name}: incomplete",
        f"{training_id}/checkpoint_000001: the checkpoint is damaged: {torn.name} is not what was "
        f"written",
        f"{training_id}/checkpoint_000002: there is no checkpoint: state.json is missing",
        "launch.json.99.tmp: incomplete",
    ]
    assert [status for _, status in problems(launch, store)].count("fixed") == 4
    assert [path.name for path in folder.glob("checkpoint_*")] == ["checkpoint_000000"]
    assert not list(launch.folder.rglob("*.tmp"))
    assert TrainState.load(folder / "checkpoint_000000", fit).epoch == 0


def test_a_launch_in_use_is_skipped(launch: Any, store: str, client: MlflowClient) -> None:
    begin(launch, store)
    with open_launch(launch.folder.name, str(launch.folder.parent)).held():
        for dry_run in (False, True):
            ((problem, status),) = problems(launch, store, dry_run=dry_run)
            assert "is in use by process" in problem
            assert status == "skipped"
    assert {run.info.status for run in all_runs(client)} == {"RUNNING"}
    assert len(found(launch, store, dry_run=True)) == 2  # it is no longer in use


def test_runs_of_a_launch_elsewhere_are_skipped(
    launch: Any, store: str, client: MlflowClient
) -> None:
    begin(launch, store)
    shutil.rmtree(launch.folder)
    expected = [("2 runs RUNNING in MLflow, and no such launch here", "skipped")]
    assert problems(launch, store) == expected
    assert {run.info.status for run in all_runs(client)} == {"RUNNING"}


def test_a_dry_run_writes_nothing_and_needs_to_write_nothing(
    launch: Any, store: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin(launch, store)
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    before = files_below(tmp_path)
    holder = sqlite3.connect(database(store), isolation_level=None)
    with contextlib.closing(holder):
        holder.execute("BEGIN IMMEDIATE")  # nobody else can write meanwhile
        assert len(found(launch, store, dry_run=True)) == 2
    missing = f"sqlite:///{tmp_path}/elsewhere/mlflow.db"
    assert problems(launch, missing, dry_run=True) == [(UNFINISHED, "needs you")]
    assert files_below(tmp_path) == before


def test_launches_that_cannot_be_used_are_reported_and_the_others_are_checked(
    make_launch: MakeLaunch, store: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = ["grid-a", "grid-b", "grid-c", "grid-d"]
    for name in names:
        launch = make_launch(launch_id=name, config={}, tracking_uri=store)
        launch.finish_all()
    (launch.folder.parent / "grid-a" / "launch.json").write_text("{")
    read_document, list_dir = launch_folder.read_document, LaunchStorage.list_dir

    def read(storage: LaunchStorage) -> Any:
        if storage.name == "grid-b":
            raise PermissionError(13, "Permission denied")
        return read_document(storage)

    def listed(storage: LaunchStorage, path: str = "") -> list[str]:
        if storage.name == "grid-c":
            raise PermissionError(13, "Permission denied")
        return list_dir(storage, path)

    monkeypatch.setattr(launch_folder, "read_document", read)
    monkeypatch.setattr(LaunchStorage, "list_dir", listed)
    for dry_run, last in ((True, "fixable"), (False, "fixed")):
        reported = found(launch, store, dry_run=dry_run)
        assert [one.where for one in reported] == names
        assert [one.status for one in reported] == ["needs you", "needs you", "skipped", last]
        assert "launch.json is not valid JSON" in reported[0].problem
        assert reported[1].problem.endswith("Permission denied")


@pytest.mark.parametrize("lacks", [None, "trace_info"])
def test_a_database_of_an_older_mlflow_is_one_error_that_names_the_upgrade(
    launch: Any, store: str, lacks: str | None
) -> None:
    path = database(store)
    with contextlib.closing(sqlite3.connect(path)) as tables, tables:
        tables.execute("UPDATE alembic_version SET version_num = '451aebb31d03'")
        if lacks:
            tables.execute(f"DROP TABLE {lacks}")
    before = path.read_bytes()
    with pytest.raises(ChromatuneError, match="mlflow db upgrade"):
        found(launch, store, dry_run=True)
    assert path.read_bytes() == before


def test_the_exit_status_says_whether_problems_are_left(launch: Any, store: str) -> None:
    words = ["doctor", "--storage-path", str(launch.folder.parent), "--tracking-uri", store]
    launch.finish_all()
    report = CliRunner().invoke(app, [*words, "--dry-run"])
    assert report.exit_code == 1
    assert "fixable" in report.stdout
    fixed = CliRunner().invoke(app, [*words, "--format", "json"])
    assert fixed.exit_code == 0
    assert [one["status"] for one in json.loads(fixed.stdout)] == ["fixed"]
    well = CliRunner().invoke(app, words)
    assert (well.exit_code, well.stdout) == (0, "no problems found\n")


def test_a_deleted_experiment_is_found_with_the_command_that_restores_it(
    launch: Any, store: str, client: MlflowClient
) -> None:
    launch.finish_all()
    found(launch, store)
    experiment = client.get_experiment_by_name(launch.document["experiment"])
    assert experiment is not None
    client.delete_experiment(experiment.experiment_id)
    for dry_run in (True, False):
        (finding,) = found(launch, store, dry_run=dry_run)
        assert finding.status == "needs you"
        assert "its experiment 'faces-regression-grid' was deleted in MLflow" in finding.problem
        command = f"`MLFLOW_TRACKING_URI={store} mlflow experiments restore -x "
        assert finding.action == f"restore it with {command}{experiment.experiment_id}`"
    client.restore_experiment(experiment.experiment_id)
    assert found(launch, store) == []


def test_deleted_runs_are_restored_rather_than_written_twice(
    launch: Any, store: str, client: MlflowClient
) -> None:
    launch.finish_all()
    found(launch, store)
    before = {run.info.run_id for run in all_runs(client)}
    parent = next(run for run in all_runs(client) if f"{TAG}cell_id" not in run.data.tags)
    cell = next(run for run in all_runs(client) if f"{TAG}cell_id" in run.data.tags)
    for run in (parent, cell):
        client.delete_run(run.info.run_id)
    assert problems(launch, store, dry_run=True) == [("2 runs deleted in MLflow", "fixable")]
    assert problems(launch, store) == [("2 runs deleted in MLflow", "fixed")]
    assert {run.info.run_id for run in all_runs(client)} == before
    assert outcomes(client) == {key: [("FINISHED", "finished")] for key in ["", *CELLS]}
    assert found(launch, store) == []


def test_files_that_are_gone_from_mlflow_are_written_again_where_they_were(
    make_launch: MakeLaunch, store: str, client: MlflowClient
) -> None:
    launch = make_launch("colorizer", config={}, tracking_uri=store)
    launch.finish_all()
    found(launch, store)
    runs = {run.data.tags.get(f"{TAG}cell_id", ""): run for run in all_runs(client)}
    first, second = sorted(filter(None, runs))
    (output,) = runs[first].outputs.model_outputs
    model = client.get_logged_model(output.model_id)
    weights = Path(model.artifact_location.removeprefix("file://")) / "artifacts"
    before = {path: path.read_bytes() for path in weights.rglob("*") if path.is_file()}
    shutil.rmtree(weights)
    for key, name in ((second, "sheet.png"), ("", "launch.json")):
        folder = Path(str(runs[key].info.artifact_uri).removeprefix("file://"))
        before[folder / name] = (folder / name).read_bytes()
        (folder / name).unlink()
    names = {"the launch's own", first, second}
    for dry_run, status in ((True, "fixable"), (False, "fixed")):
        ((problem, now),) = problems(launch, store, dry_run=dry_run)
        head, _, tail = problem.partition(" are gone from MLflow: ")
        assert (head, now, set(tail.split(", "))) == ("the files of 3 runs", status, names)
    assert {path: path.read_bytes() for path in before} == before
    assert {run.info.run_id for run in all_runs(client)} == {r.info.run_id for r in runs.values()}
    assert {run.info.status for run in all_runs(client)} == {"FINISHED"}
    history = client.get_metric_history(runs[first].info.run_id, "train_loss")
    assert [point.step for point in history] == list(range(1, 1 + len(history)))
    assert found(launch, store) == []


def test_launches_in_mlflow_without_a_folder_are_noted_and_no_failure(
    launch: Any, store: str
) -> None:
    launch.finish_all()
    found(launch, store)
    shutil.rmtree(launch.folder)
    (finding,) = found(launch, store)
    assert finding.status == "noted"
    name = launch.document["launch_id"]
    assert finding.problem == f"1 launch in MLflow without a folder here: {name}"
    words = ["doctor", "--storage-path", str(launch.folder.parent), "--tracking-uri", store]
    assert CliRunner().invoke(app, words).exit_code == 0
