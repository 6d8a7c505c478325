"""The projection of a launch into MLflow: complete, once, and whatever happens in between."""

from __future__ import annotations

import functools
import json
import logging
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient
from mlflow.entities import Run

from tuning.errors import ChromatuneError
from tuning.launch.storage import LaunchStorage
from tuning.tracking.projection import Projection, project_launch

pytestmark = pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy")

MakeLaunch = Callable[..., Any]
CALLS_PER_CELL = 15


def database(store: str) -> Path:
    return Path(store.removeprefix("sqlite:///"))


def dump(store: str) -> dict[str, list[tuple[Any, ...]]]:
    """Every row of every table."""
    with sqlite3.connect(database(store)) as connection:
        tables = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
        return {
            name: sorted(connection.execute(f"SELECT * FROM {name}").fetchall(), key=repr)
            for (name,) in tables.fetchall()
        }


def counted(method: Callable[..., Any], calls: Counter[str]) -> Callable[..., Any]:
    @functools.wraps(method)
    def call(*args: Any, **options: Any) -> Any:
        calls[method.__name__] += 1
        return method(*args, **options)

    return call


def runs_of(client: MlflowClient, launch_id: str) -> dict[str, Run]:
    """Runs by cell id, the parent under ''; fails if a key occurs twice."""
    experiments = [found.experiment_id for found in client.search_experiments()]
    runs = client.search_runs(experiments, f"tags.`chromatune.launch_id` = '{launch_id}'")
    keys = Counter(run.data.tags.get("chromatune.cell_id", "") for run in runs)
    assert max(keys.values(), default=1) == 1, keys
    return {run.data.tags.get("chromatune.cell_id", ""): run for run in runs}


def steps(client: MlflowClient, run: Run, metric: str) -> list[int]:
    return [point.step for point in client.get_metric_history(run.info.run_id, metric)]


def contents(client: MlflowClient, launch_id: str) -> dict[str, Any]:
    """What a launch left in the store, without ids and times that MLflow draws itself."""
    found = {}
    for key, run in runs_of(client, launch_id).items():
        metrics = sorted(
            (name, point.step, point.value, point.timestamp)
            for name in run.data.metrics
            for point in client.get_metric_history(run.info.run_id, name)
        )
        models = client.search_logged_models(
            [run.info.experiment_id], f"source_run_id = '{run.info.run_id}'"
        )
        found[key] = {
            "status": run.info.status,
            "metrics": metrics,
            "params": run.data.params,
            "tags": sorted(tag for tag in run.data.tags if tag != "mlflow.note.content"),
            "data": [given.dataset.digest for given in run.inputs.dataset_inputs],
            "models": [
                (str(model.status), sorted((m.key, m.value) for m in model.metrics or []))
                for model in models
            ],
            "outputs": [model.model_id for model in models]
            == [output.model_id for output in run.outputs.model_outputs],
            "artifacts": sorted(f.path for f in client.list_artifacts(run.info.run_id)),
            "images": len(client.list_artifacts(run.info.run_id, "images")),
        }
    return found


class TestProjectLaunch:
    def test_writes_every_cell_with_all_that_belongs_to_it(
        self, make_launch: MakeLaunch, store: str, client: MlflowClient
    ) -> None:
        launch = make_launch("colorizer", lrs=[1e-3, 1e-4], epochs=[2, 5])
        launch.finish_all()
        project_launch(launch.storage, store)

        runs = runs_of(client, launch.document["launch_id"])
        parent = runs.pop("")
        assert set(runs) == {
            f"{training}-e{epochs}" for training in launch.training_ids() for epochs in (2, 5)
        }
        run = runs["autoencoder-relu-lr0.0001-e5"]
        assert run.info.status == "FINISHED"
        assert run.info.run_name == "relu lr=1e-4 epochs=5 autoencoder"
        assert run.data.tags["mlflow.parentRunId"] == parent.info.run_id
        assert run.data.tags["mlflow.source.git.commit"] == "c" * 40
        assert run.data.params["lr"] == "0.0001"
        assert run.data.params["epochs"] == "5"
        assert steps(client, run, "train_loss") == [1, 2, 3, 4, 5]
        assert steps(client, run, "val_psnr") == [2, 5]
        assert run.data.metrics["val_psnr"] == 25.0
        assert "lr" not in run.data.metrics
        (given,) = run.inputs.dataset_inputs
        assert (given.dataset.name, given.dataset.digest) == ("faces", "d" * 36)
        assert given.tags[0].value == "train"
        assert given.dataset.source_type == "local"
        assert json.loads(given.dataset.source) == {"uri": "/pictures/faces"}
        (logged,) = run.outputs.model_outputs
        model = client.get_logged_model(logged.model_id)
        assert {metric.key: metric.value for metric in model.metrics} == {
            key: value for key, value in run.data.metrics.items() if key.startswith("val_")
        }
        # MLflow's page of comparison shows only files that lie in no folder.
        files = {file.path for file in client.list_artifacts(run.info.run_id)}
        assert files == {"sheet.png", "images"}
        experiment = client.get_experiment(run.info.experiment_id)
        assert experiment.name == "faces-colorizer-grid"
        root = database(store).parent / "artifacts" / "faces-colorizer-grid"
        assert experiment.artifact_location == root.as_uri()

    def test_the_parent_tells_what_was_launched_and_who_won(
        self, make_launch: MakeLaunch, store: str, client: MlflowClient, tmp_path: Path
    ) -> None:
        launch = make_launch(models=["cnn1", "cnn2"], lrs=[1e-3, 1e-4])
        launch.finish_all()
        launch.finish_cell("cnn2-relu-lr0.0001", 4, score=3.0)
        project_launch(launch.storage, store)

        parent = runs_of(client, launch.document["launch_id"])[""]
        assert parent.info.status == "FINISHED"
        assert parent.data.params["models"] == "cnn1, cnn2"
        assert parent.data.params["lrs"] == "0.001, 0.0001"
        assert parent.data.metrics["best_val_mse"] == pytest.approx(1e-3 / 4 / 4)
        assert parent.data.metrics["baseline_val_mse"] == 1.7e-4
        note = parent.data.tags["mlflow.note.content"]
        assert note.startswith(
            "Best: cnn2-relu-lr0.0001-e4, validation MSE 6.25e-5 (constant predictor 1.70e-4). "
            "8 of 8 cells finished."
        )
        assert "| epochs&emsp;| lr 1e-3&emsp;| lr 1e-4&emsp;|" in note
        names = {file.path for file in client.list_artifacts(parent.info.run_id)}
        assert names == {"launch.json", "config.yaml", "cells.md", "heatmap.png"}
        heatmap = client.download_artifacts(parent.info.run_id, "heatmap.png", tmp_path)
        assert Path(heatmap).read_bytes().startswith(b"\x89PNG")

    def test_a_launch_from_another_machine_is_written_completely_and_once(
        self, make_launch: MakeLaunch, store: str, client: MlflowClient, tmp_path: Path
    ) -> None:
        here = make_launch("colorizer", launch_id="here", epochs=[2, 4])
        here.finish_all()
        project_launch(here.storage, store)
        # Trained without MLflow, on pictures that are not on this machine, and copied here.
        there = make_launch(
            *("colorizer",),
            launch_id="there",
            epochs=[2, 4],
            tracking_uri="",
            dataset_folder="/on/another/machine",
        )
        there.finish_all()
        copied = shutil.move(there.folder, tmp_path / "copied" / "there")
        project_launch(LaunchStorage(copied), store)
        assert contents(client, "there") == contents(client, "here")
        before = dump(store)
        project_launch(LaunchStorage(copied), store)
        assert dump(store) == before

    def test_the_calls_of_mlflow_for_a_further_cell_are_few(
        self, make_launch: MakeLaunch, store: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        calls: Counter[str] = Counter()
        for name in [name for name in vars(MlflowClient) if not name.startswith("_")]:
            monkeypatch.setattr(MlflowClient, name, counted(getattr(MlflowClient, name), calls))
        counts = []
        for cells in (2, 3):
            launch = make_launch("colorizer", launch_id=f"of-{cells}", epochs=range(1, cells + 1))
            launch.finish_all()
            calls.clear()
            project_launch(launch.storage, store)
            counts.append(calls.total())
        assert counts[1] - counts[0] <= CALLS_PER_CELL, calls

    def test_a_second_projection_changes_nothing_at_all(
        self, make_launch: MakeLaunch, store: str
    ) -> None:
        launch = make_launch(models=["cnn1", "cnn2"])
        launch.finish_cell("cnn1-relu-lr0.001", 2)
        launch.finish_cell("cnn2-relu-lr0.001", 2)
        launch.fail("cnn2-relu-lr0.001", 3, "loss is nan at epoch 3")
        project_launch(launch.storage, store)
        before = dump(store)
        project_launch(launch.storage, store)
        assert dump(store) == before

    def test_a_diverged_training_fails_its_cell_and_begins_no_later_one(
        self, make_launch: MakeLaunch, store: str, client: MlflowClient
    ) -> None:
        launch = make_launch(models=["cnn1"], epochs=[2, 4, 6])
        launch.finish_cell("cnn1-relu-lr0.001", 2)
        launch.fail("cnn1-relu-lr0.001", 3, "loss is nan at epoch 4")
        project_launch(launch.storage, store)

        runs = runs_of(client, launch.document["launch_id"])
        assert set(runs) == {"", "cnn1-relu-lr0.001-e2", "cnn1-relu-lr0.001-e4"}
        failed = runs["cnn1-relu-lr0.001-e4"]
        assert failed.info.status == "FAILED"
        assert failed.data.tags["chromatune.outcome"] == "diverged"
        assert failed.data.tags["chromatune.message"] == "loss is nan at epoch 4"
        assert steps(client, failed, "train_loss") == [1, 2, 3]
        assert runs[""].info.status == "FAILED"

    def test_an_interrupted_launch_is_killed_and_its_waiting_cells_have_no_run(
        self, make_launch: MakeLaunch, store: str, client: MlflowClient
    ) -> None:
        launch = make_launch(models=["cnn1", "cnn2"])
        launch.finish_cell("cnn1-relu-lr0.001", 2)
        project_launch(launch.storage, store)
        runs = runs_of(client, launch.document["launch_id"])
        assert set(runs) == {"", "cnn1-relu-lr0.001-e2"}
        assert runs[""].info.status == "KILLED"

    def test_a_damaged_cell_is_named_and_holds_up_no_other(
        self, make_launch: MakeLaunch, store: str, client: MlflowClient
    ) -> None:
        launch = make_launch(models=["cnn1", "cnn2"])
        launch.finish_all()
        damaged = launch.folder / "cnn1-relu-lr0.001/cells/cnn1-relu-lr0.001-e2/cell.json"
        damaged.write_text('{"cell_id": "cnn1-relu-lr0.001-e2"}')
        with pytest.raises(ChromatuneError, match=r"e2/cell\.json is damaged: 'params'"):
            project_launch(launch.storage, store)
        runs = runs_of(client, launch.document["launch_id"])
        assert runs["cnn2-relu-lr0.001-e4"].info.status == "FINISHED"
        assert not [run for run in runs.values() if run.info.status == "RUNNING"]

    def test_secrets_reach_neither_the_database_nor_an_artifact(
        self, make_launch: MakeLaunch, store: str
    ) -> None:
        launch = make_launch(
            command="chromatune grid --tracking-uri http://anna:hunter2@host --token hunter2",
            config={"tracking_uri": "postgresql://anna:hunter2@db/m", "api_key": "hunter2"},
            tags={"from": "https://anna:hunter2@host/x?token=hunter2"},
            dataset_manifest={
                "source": {"kind": "download", "location": "https://anna:hunter2@host/faces.zip"}
            },
            models=["cnn1", "cnn2"],
        )
        launch.finish_cell("cnn1-relu-lr0.001", 2)
        launch.fail("cnn1-relu-lr0.001", 3, "cannot reach s3://anna:hunter2@bucket")
        project_launch(launch.storage, store)
        assert b"hunter2" not in database(store).read_bytes()
        files = [file for file in database(store).parent.rglob("*") if file.is_file()]
        assert [file for file in files if b"hunter2" in file.read_bytes()] == []

    def test_refuses_an_experiment_that_was_deleted(
        self, make_launch: MakeLaunch, store: str, client: MlflowClient
    ) -> None:
        launch = make_launch()
        client.delete_experiment(client.create_experiment("faces-regression-grid"))
        with pytest.raises(ChromatuneError, match="was deleted in MLflow; restore it with"):
            project_launch(launch.storage, store)


class TestProjection:
    def test_what_is_written_live_equals_what_is_written_from_files(
        self, make_launch: MakeLaunch, store: str, client: MlflowClient
    ) -> None:
        live = make_launch(launch_id="live", models=["cnn1"], epochs=[2, 4])
        projection = Projection(live.storage, store)
        projection.start()
        training = live.training_ids()[0]
        for epoch in range(1, 5):
            record = live.record(epoch)
            if epoch in live.epochs:
                record["milestone"] = live.finish_cell(training, epoch)
            projection.observe(training, [record])
        projection.training_ended(training, "finished", "")
        assert projection.close("FINISHED") == []

        afterwards = make_launch(launch_id="afterwards", models=["cnn1"], epochs=[2, 4])
        afterwards.finish_all()
        project_launch(afterwards.storage, store)
        assert contents(client, "live") == contents(client, "afterwards")

    def test_the_first_unfinished_cell_runs_with_the_whole_history(
        self, make_launch: MakeLaunch, store: str, client: MlflowClient
    ) -> None:
        launch = make_launch(epochs=[2, 4, 6])
        training = launch.training_ids()[0]
        projection = Projection(launch.storage, store)
        projection.start()
        assert runs_of(client, launch.document["launch_id"]).keys() == {""}
        launch.finish_cell(training, 2)
        projection.observe(
            training,
            [launch.record(1), {**launch.record(2), "milestone": f"{training}-e2"}],
        )
        projection.observe(training, [launch.record(3)])
        wait_until(lambda: f"{training}-e4" in runs_of(client, launch.document["launch_id"]))
        wait_until(
            lambda: (
                steps(
                    client,
                    runs_of(client, launch.document["launch_id"])[f"{training}-e4"],
                    "train_loss",
                )
                == [1, 2, 3]
            )
        )
        runs = runs_of(client, launch.document["launch_id"])
        assert {key: run.info.status for key, run in runs.items()} == {
            "": "RUNNING",
            f"{training}-e2": "FINISHED",
            f"{training}-e4": "RUNNING",
        }
        assert "1 of 3 cells finished" in runs[""].data.tags["mlflow.note.content"]
        projection.close("KILLED")
        runs = runs_of(client, launch.document["launch_id"])
        assert runs[f"{training}-e4"].info.status == "KILLED"
        assert runs[""].info.status == "KILLED"

    def test_a_cell_whose_report_died_with_its_trial_gets_no_epoch_beyond_its_own(
        self, make_launch: MakeLaunch, store: str, client: MlflowClient
    ) -> None:
        launch = make_launch(epochs=[2, 4])
        training = launch.training_ids()[0]
        projection = Projection(launch.storage, store)
        projection.start()
        projection.observe(training, [launch.record(1)])
        # Killed when the cell and its checkpoint were written, and nobody had been told of them.
        launch.finish_cell(training, 2)
        projection.observe(training, [launch.record(3)])
        launch_id = launch.document["launch_id"]
        wait_until(lambda: f"{training}-e4" in runs_of(client, launch_id))
        # Nor is the last cell reported.
        launch.finish_cell(training, 4)
        projection.training_ended(training, "finished", "")
        wait_until(lambda: runs_of(client, launch_id)[f"{training}-e4"].info.status != "RUNNING")
        assert projection.close("FINISHED") == []
        runs = runs_of(client, launch_id)
        for epochs in (2, 4):
            run = runs[f"{training}-e{epochs}"]
            assert run.info.status == "FINISHED"
            assert steps(client, run, "train_loss") == list(range(1, epochs + 1))

    def test_a_resumed_launch_goes_on_in_its_runs_without_doubling_an_epoch(
        self, make_launch: MakeLaunch, store: str, client: MlflowClient
    ) -> None:
        launch = make_launch(epochs=[4])
        training = launch.training_ids()[0]
        first = Projection(launch.storage, store)
        first.start()
        first.observe(training, [launch.record(epoch) for epoch in (1, 2, 3)])
        first.training_ended(training, "failed", "the worker died")
        assert first.close("FAILED") == []
        before = runs_of(client, launch.document["launch_id"])
        assert before[f"{training}-e4"].data.tags["chromatune.message"] == "the worker died"

        second = Projection(launch.storage, store)
        second.start()
        # Epochs 2 and 3 are trained again after the crash, at another time.
        second.observe(training, [launch.record(epoch, shift_ms=777) for epoch in (2, 3)])
        launch.finish_cell(training, 4)
        second.observe(
            training, [{**launch.record(4, shift_ms=777), "milestone": f"{training}-e4"}]
        )
        second.training_ended(training, "finished", "")
        assert second.close("FINISHED") == []

        after = runs_of(client, launch.document["launch_id"])
        assert {key: run.info.run_id for key, run in after.items()} == {
            key: run.info.run_id for key, run in before.items()
        }
        run = after[f"{training}-e4"]
        assert steps(client, run, "train_loss") == [1, 2, 3, 4]
        assert run.info.status == after[""].info.status == "FINISHED"
        assert run.data.tags["chromatune.outcome"] == "finished"
        assert "chromatune.message" not in run.data.tags

    def test_a_thousand_epochs_arrive_each_once(
        self, make_launch: MakeLaunch, store: str, client: MlflowClient
    ) -> None:
        launch = make_launch("colorizer", epochs=[1000])
        training = launch.training_ids()[0]
        launch.finish_cell(training, 1000)
        project_launch(launch.storage, store)
        run = runs_of(client, launch.document["launch_id"])[f"{training}-e1000"]
        assert steps(client, run, "train_loss") == list(range(1, 1001))

    def test_a_locked_database_delays_but_loses_nothing(
        self,
        make_launch: MakeLaunch,
        store: str,
        client: MlflowClient,
        caplog: pytest.LogCaptureFixture,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        launch = make_launch(epochs=[2])
        training = launch.training_ids()[0]
        projection = Projection(launch.storage, store)
        projection.start()
        monkeypatch.setattr("tuning.tracking.projection._FIRST_RETRY_S", 0.1)
        failures = iter([OSError("disk is away"), OSError("disk is away")])
        original = MlflowClient.log_batch

        def unreliable(self: MlflowClient, *args: Any, **options: Any) -> None:
            for error in failures:
                raise error
            original(self, *args, **options)

        monkeypatch.setattr(MlflowClient, "log_batch", unreliable)
        launch.finish_cell(training, 2)
        with caplog.at_level(logging.WARNING):
            projection.observe(training, [{**launch.record(2), "milestone": f"{training}-e2"}])
            assert projection.close("FINISHED") == []
        assert len([r for r in caplog.records if "is unavailable" in r.message]) == 1
        assert runs_of(client, launch.document["launch_id"])[f"{training}-e2"].info.status == (
            "FINISHED"
        )

    def test_close_gives_up_in_time_and_names_what_is_missing(
        self,
        make_launch: MakeLaunch,
        store: str,
        client: MlflowClient,
        monkeypatch: pytest.MonkeyPatch,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        launch = make_launch(epochs=[2])
        training = launch.training_ids()[0]
        projection = Projection(launch.storage, store, delivery_timeout_s=1.0)
        projection.start()
        launch.finish_cell(training, 2)

        def away(*_: Any, **__: Any) -> None:
            raise OSError("away")

        with monkeypatch.context() as outage:
            outage.setattr(MlflowClient, "log_batch", away)
            projection.observe(training, [{**launch.record(2), "milestone": f"{training}-e2"}])
            began = time.monotonic()
            missing = projection.close("FINISHED")
        assert time.monotonic() - began < 10
        waiting = [line for line in caplog.messages if line.startswith("waiting up to 1 s for")]
        assert len(waiting) == 1
        assert "`chromatune resume`" in waiting[0]
        assert missing == [f"{training}-e2", launch.document["launch_id"]]

        project_launch(launch.storage, store)
        statuses = {
            run.info.status for run in runs_of(client, launch.document["launch_id"]).values()
        }
        assert statuses == {"FINISHED"}


PROJECT = """
import sys
from tuning.launch.storage import LaunchStorage
from tuning.tracking.projection import project_launch
print("ready", flush=True)
project_launch(LaunchStorage(sys.argv[1]), sys.argv[2])
"""


@pytest.mark.slow
def test_killed_at_any_moment_and_projected_again_nothing_is_missing_or_doubled(
    make_launch: MakeLaunch, store: str, client: MlflowClient
) -> None:
    reference = make_launch(launch_id="reference", models=["cnn1", "cnn2"], epochs=[2, 3, 4])
    reference.finish_all()
    began = time.monotonic()
    project_launch(reference.storage, store)
    whole = contents(client, "reference")
    duration = time.monotonic() - began

    draw = random.Random(0)
    for attempt in range(3):
        launch = make_launch(
            launch_id=f"killed-{attempt}", models=["cnn1", "cnn2"], epochs=[2, 3, 4]
        )
        launch.finish_all()
        for _ in range(2):
            process = subprocess.Popen(
                [sys.executable, "-c", PROJECT, str(launch.folder), store],
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                cwd=Path(__file__).parents[3],
            )
            assert process.stdout is not None
            process.stdout.readline()
            time.sleep(draw.uniform(0, 1.5 * duration))
            process.send_signal(signal.SIGKILL)
            process.communicate()
        project_launch(launch.storage, store)
        assert contents(client, f"killed-{attempt}") == whole


def wait_until(condition: Callable[[], bool], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it never came true"
        time.sleep(0.1)
