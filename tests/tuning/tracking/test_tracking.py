"""The projection of a launch into MLflow: complete, once, and whatever happens in between."""

from __future__ import annotations

import json
import logging
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient
from mlflow.entities import Run

from tests.tuning.tracking.reading import database, outcomes, runs_of, steps, wait_until
from tuning.errors import ChromatuneError
from tuning.launch.storage import LaunchStorage
from tuning.tracking.delivery import Projection, project_launch
from tuning.tracking.parent_run import ParentRun

MakeLaunch = Callable[..., Any]


def dump(store: str) -> dict[str, list[tuple[Any, ...]]]:
    """Every row of every table."""
    with sqlite3.connect(database(store)) as connection:
        tables = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
        return {
            name: sorted(connection.execute(f"SELECT * FROM {name}").fetchall(), key=repr)
            for (name,) in tables.fetchall()
        }


def contents(client: MlflowClient, launch: Any) -> dict[str, Any]:
    """What a launch left in the store, without ids and times that MLflow draws itself."""
    found = {}
    for key, run in runs_of(client, launch).items():
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


def start(launch: Any, store: str, **options: Any) -> Projection:
    projection = Projection(launch.storage, store, **options)
    projection.start()
    return projection


def note_of(client: MlflowClient, launch: Any) -> str:
    """The description of the parent run."""
    return str(runs_of(client, launch)[""].data.tags["mlflow.note.content"])


class TestProjectLaunch:
    def test_writes_every_cell_with_all_that_belongs_to_it(
        self, make_launch: MakeLaunch, store: str, client: MlflowClient
    ) -> None:
        launch = make_launch("colorizer", lrs=[1e-3, 1e-4], epochs=[2, 5])
        launch.finish_all()
        project_launch(launch.storage, store)

        runs = runs_of(client, launch)
        parent = runs.pop("")
        assert set(runs) == {
            f"{training}-e{epochs}" for training in launch.training_ids() for epochs in (2, 5)
        }
        run = runs["autoencoder-relu-lr0.0001-e5"]
        assert run.info.status == "FINISHED"
        assert run.info.run_name == "relu lr=1e-4 epochs=5 autoencoder"
        assert run.data.tags["mlflow.parentRunId"] == parent.info.run_id
        assert run.data.tags["mlflow.source.git.commit"] == "c" * 40
        assert (run.data.params["lr"], run.data.params["epochs"]) == ("0.0001", "5")
        assert steps(client, run) == [1, 2, 3, 4, 5]
        assert steps(client, run, "val_psnr") == [2, 5]
        assert run.data.metrics["val_psnr"] == 25.0
        assert "lr" not in run.data.metrics
        (given,) = run.inputs.dataset_inputs
        assert (given.dataset.name, given.dataset.digest) == ("faces", "d" * 36)
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

        parent = runs_of(client, launch)[""]
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
        assert f"get-artifact?path=heatmap.png&run_uuid={parent.info.run_id}" in note
        assert "[Compare the best 5](#/compare-runs?" in note

    def test_a_launch_from_another_machine_is_written_completely_and_once(
        self, make_launch: MakeLaunch, store: str, client: MlflowClient, tmp_path: Path
    ) -> None:
        here = make_launch("colorizer", launch_id="here", epochs=[2, 4])
        there = make_launch(
            *("colorizer",),
            launch_id="there",
            epochs=[2, 4],
            tracking_uri="",
            dataset_folder="/on/another/machine",
        )
        for launch in (here, there):
            launch.finish_cell("autoencoder-relu-lr0.001", 2)
            launch.fail("autoencoder-relu-lr0.001", 3, "loss is nan at epoch 3")
        project_launch(here.storage, store)
        copied = LaunchStorage(shutil.move(there.folder, tmp_path / "copied" / "there"))
        project_launch(copied, store)
        assert contents(client, there) == contents(client, here)
        before = dump(store)
        project_launch(copied, store)
        assert dump(store) == before

    def test_a_diverged_training_fails_its_cell_and_begins_no_later_one(
        self, make_launch: MakeLaunch, store: str, client: MlflowClient
    ) -> None:
        launch = make_launch(epochs=[2, 4, 6])
        launch.finish_cell("cnn1-relu-lr0.001", 2)
        project_launch(launch.storage, store)
        assert {key: run.info.status for key, run in runs_of(client, launch).items()} == {
            "": "KILLED",
            "cnn1-relu-lr0.001-e2": "FINISHED",
        }
        launch.fail("cnn1-relu-lr0.001", 3, "loss is nan at epoch 4")
        project_launch(launch.storage, store)

        runs = runs_of(client, launch)
        assert set(runs) == {"", "cnn1-relu-lr0.001-e2", "cnn1-relu-lr0.001-e4"}
        failed = runs["cnn1-relu-lr0.001-e4"]
        assert failed.info.status == runs[""].info.status == "FAILED"
        assert failed.data.tags["chromatune.outcome"] == "diverged"
        assert failed.data.tags["chromatune.message"] == "loss is nan at epoch 4"
        assert steps(client, failed) == [1, 2, 3]

    @pytest.mark.parametrize(
        ("path", "message"),
        [
            ("cells/cnn1-relu-lr0.001-e2/cell.json", r"e2/cell\.json is damaged: 'cell_id'"),
            ("cells", "cells is a file instead of a folder"),
            ("failed.json", r"failed\.json is damaged: 'outcome'"),
        ],
    )
    def test_a_damaged_file_is_named_and_holds_up_no_other_training(
        self, make_launch: MakeLaunch, store: str, client: MlflowClient, path: str, message: str
    ) -> None:
        launch = make_launch(models=["cnn1", "cnn2"])
        launch.finish_all()
        damaged = launch.folder / "cnn1-relu-lr0.001" / path
        if damaged.is_dir():
            shutil.rmtree(damaged)
        damaged.write_text("{}")
        with pytest.raises(ChromatuneError, match=message):
            project_launch(launch.storage, store)
        runs = runs_of(client, launch)
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
        files = [file for file in database(store).parent.rglob("*") if file.is_file()]
        assert [file for file in files if b"hunter2" in file.read_bytes()] == []

    def test_refuses_an_experiment_that_was_deleted(
        self, make_launch: MakeLaunch, store: str, client: MlflowClient
    ) -> None:
        launch = make_launch()
        client.delete_experiment(client.create_experiment("faces-regression-grid"))
        with pytest.raises(ChromatuneError, match="was deleted in MLflow; restore it with"):
            project_launch(launch.storage, store)

    def test_a_thousand_epochs_arrive_each_once(
        self, make_launch: MakeLaunch, store: str, client: MlflowClient
    ) -> None:
        launch = make_launch("colorizer", epochs=[1000])
        cell = launch.finish_cell(launch.training_ids()[0], 1000)
        project_launch(launch.storage, store)
        assert steps(client, runs_of(client, launch)[cell]) == list(range(1, 1001))


class TestProjection:
    def test_what_is_written_live_equals_what_is_written_from_files(
        self, make_launch: MakeLaunch, store: str, client: MlflowClient
    ) -> None:
        live = make_launch(launch_id="live")
        projection = start(live, store)
        training = live.training_ids()[0]
        for epoch in range(1, 5):
            record = live.record(epoch)
            if epoch in live.epochs:
                record["milestone"] = live.finish_cell(training, epoch)
            projection.observe(training, [record])
        projection.training_ended(training, "finished", "")
        assert projection.close("FINISHED") == []

        afterwards = make_launch(launch_id="afterwards")
        afterwards.finish_all()
        project_launch(afterwards.storage, store)
        assert contents(client, live) == contents(client, afterwards)

    def test_the_first_unfinished_cell_runs_with_the_whole_history(
        self, make_launch: MakeLaunch, store: str, client: MlflowClient
    ) -> None:
        launch = make_launch(epochs=[2, 4, 6])
        training = launch.training_ids()[0]
        projection = start(launch, store)
        assert runs_of(client, launch).keys() == {""}
        cell = launch.finish_cell(training, 2)
        projection.observe(training, [launch.record(1), {**launch.record(2), "milestone": cell}])
        projection.observe(training, [launch.record(3)])
        wait_until(lambda: f"{training}-e4" in runs_of(client, launch))
        wait_until(lambda: steps(client, runs_of(client, launch)[f"{training}-e4"]) == [1, 2, 3])
        runs = runs_of(client, launch)
        assert {key: run.info.status for key, run in runs.items()} == {
            "": "RUNNING",
            f"{training}-e2": "FINISHED",
            f"{training}-e4": "RUNNING",
        }
        wait_until(lambda: "1 of 3 cells finished" in note_of(client, launch))
        projection.close("KILLED")
        runs = runs_of(client, launch)
        assert runs[f"{training}-e4"].info.status == runs[""].info.status == "KILLED"

    def test_a_cell_whose_report_died_with_its_trial_gets_no_epoch_beyond_its_own(
        self, make_launch: MakeLaunch, store: str, client: MlflowClient
    ) -> None:
        launch = make_launch(epochs=[2, 4])
        training = launch.training_ids()[0]
        projection = start(launch, store)
        projection.observe(training, [launch.record(1)])
        # Killed when the cell and its checkpoint were written, and nobody had been told of them.
        launch.finish_cell(training, 2)
        projection.observe(training, [launch.record(3)])
        wait_until(lambda: f"{training}-e4" in runs_of(client, launch))
        # Nor is the last cell reported.
        launch.finish_cell(training, 4)
        projection.training_ended(training, "finished", "")
        wait_until(lambda: runs_of(client, launch)[f"{training}-e4"].info.status != "RUNNING")
        assert projection.close("FINISHED") == []
        for epochs in (2, 4):
            run = runs_of(client, launch)[f"{training}-e{epochs}"]
            assert run.info.status == "FINISHED"
            assert steps(client, run) == list(range(1, epochs + 1))

    def test_a_resumed_launch_goes_on_in_its_runs_without_doubling_an_epoch(
        self, make_launch: MakeLaunch, store: str, client: MlflowClient
    ) -> None:
        launch = make_launch(epochs=[4])
        training = launch.training_ids()[0]
        first = start(launch, store)
        first.observe(training, [launch.record(epoch) for epoch in (1, 2, 3)])
        token = "https://anna:hunter2@host"
        launch.storage.write_text(f"{training}/error.txt", f"Traceback\nOSError: {token}\n")
        first.training_ended(training, "failed", "the worker died")
        assert first.close("FAILED") == []
        before = runs_of(client, launch)
        failed = before[f"{training}-e4"]
        assert failed.data.tags["chromatune.message"] == "the worker died"
        assert failed.data.tags["mlflow.note.content"] == (
            "**failed**: the worker died\n\nThe traceback is the artifact error.txt."
        )
        text = Path(client.download_artifacts(failed.info.run_id, "error.txt")).read_text()
        assert text == "Traceback\nOSError: https://***@host\n"

        second = start(launch, store)
        # Epochs 2 and 3 are trained again after the crash, at another time.
        second.observe(training, [launch.record(epoch, shift_ms=777) for epoch in (2, 3)])
        cell = launch.finish_cell(training, 4)
        second.observe(training, [{**launch.record(4, shift_ms=777), "milestone": cell}])
        second.training_ended(training, "finished", "")
        assert second.close("FINISHED") == []

        after = runs_of(client, launch)
        assert {key: run.info.run_id for key, run in after.items()} == {
            key: run.info.run_id for key, run in before.items()
        }
        run = after[cell]
        assert steps(client, run) == [1, 2, 3, 4]
        assert run.info.status == after[""].info.status == "FINISHED"
        assert run.data.tags["chromatune.outcome"] == "finished"
        assert "chromatune.message" not in run.data.tags

    def test_a_run_that_was_created_twice_is_written_once(
        self,
        make_launch: MakeLaunch,
        store: str,
        client: MlflowClient,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        """The client repeats a call whose answer was lost."""
        create_run = MlflowClient.create_run

        def twice(self: MlflowClient, *args: Any, **options: Any) -> Run:
            create_run(self, *args, **options)
            return create_run(self, *args, **options)

        monkeypatch.setattr(MlflowClient, "create_run", twice)
        launch = make_launch(epochs=[2])
        training = launch.training_ids()[0]
        projection = start(launch, store)
        projection.observe(training, [launch.record(1)])
        wait_until(lambda: len(outcomes(client)) == 2)
        cell = launch.finish_cell(training, 2)
        assert projection.close("FINISHED") == []
        both = [("FINISHED", "finished"), ("KILLED", "stopped")]
        assert outcomes(client) == {"": both, cell: both}
        project_launch(launch.storage, store)
        assert outcomes(client) == {"": both, cell: both}

    def test_a_table_that_takes_long_is_renewed_seldom_and_complete_at_the_end(
        self,
        make_launch: MakeLaunch,
        store: str,
        client: MlflowClient,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        describe, calls = ParentRun.describe, []

        def slow(parent: ParentRun) -> None:
            describe(parent)
            calls.append(time.sleep(1))  # so that the next one is due in 50 s

        monkeypatch.setattr(ParentRun, "describe", slow)
        monkeypatch.setattr("tuning.tracking.delivery._FLUSH_EVERY_S", 0.05)
        launch = make_launch(epochs=[1, 2, 3])
        training = launch.training_ids()[0]
        projection = start(launch, store)
        for epoch in launch.epochs:
            cell = launch.finish_cell(training, epoch)
            projection.observe(training, [{**launch.record(epoch), "milestone": cell}])
            wait_until(lambda cell=cell: ("FINISHED", "finished") in outcomes(client).get(cell, []))
            wait_until(lambda: calls)
        time.sleep(1)
        assert len(calls) == 1
        assert "1 of 3 cells finished" in note_of(client, launch)
        assert projection.close("FINISHED") == []
        assert "3 of 3 cells finished" in note_of(client, launch)

    def test_an_outage_is_reported_once_and_loses_nothing(
        self,
        make_launch: MakeLaunch,
        store: str,
        client: MlflowClient,
        caplog: pytest.LogCaptureFixture,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        launch = make_launch(epochs=[2])
        training = launch.training_ids()[0]
        projection = start(launch, store)
        monkeypatch.setattr("tuning.tracking.delivery._FIRST_RETRY_S", 0.1)
        failures = iter([OSError("disk is away"), OSError("disk is away")])
        original = MlflowClient.log_batch

        def unreliable(self: MlflowClient, *args: Any, **options: Any) -> None:
            for error in failures:
                raise error
            original(self, *args, **options)

        monkeypatch.setattr(MlflowClient, "log_batch", unreliable)
        cell = launch.finish_cell(training, 2)
        with caplog.at_level(logging.WARNING):
            projection.observe(training, [{**launch.record(2), "milestone": cell}])
            assert projection.close("FINISHED") == []
        assert len([line for line in caplog.messages if "is unavailable" in line]) == 1
        assert caplog.messages[-1].startswith("MLflow is available again")
        assert runs_of(client, launch)[cell].info.status == "FINISHED"

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
        projection = start(launch, store, delivery_timeout_s=1.0)
        cell = launch.finish_cell(training, 2)

        def away(*_: Any, **__: Any) -> None:
            raise OSError("away")

        with monkeypatch.context() as outage:
            outage.setattr(MlflowClient, "log_batch", away)
            projection.observe(training, [{**launch.record(2), "milestone": cell}])
            began = time.monotonic()
            missing = projection.close("FINISHED")
        assert time.monotonic() - began < 10
        (waiting,) = [line for line in caplog.messages if line.startswith("waiting up to 1 s for")]
        assert "`chromatune doctor --storage-path" in waiting
        assert missing == [cell, launch.document["launch_id"]]

        project_launch(launch.storage, store)
        assert {run.info.status for run in runs_of(client, launch).values()} == {"FINISHED"}


PROJECT = """
import sys
from tuning.launch.storage import LaunchStorage
from tuning.tracking.delivery import project_launch
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
    whole = contents(client, reference)
    duration = time.monotonic() - began

    draw = random.Random(0)
    for attempt in range(2):
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
        assert contents(client, launch) == whole


@pytest.mark.parametrize("ending", ["finished", "diverged"])
def test_what_a_trial_printed_is_an_artifact_of_its_runs(
    ending: str, make_launch: MakeLaunch, store: str, client: MlflowClient
) -> None:
    launch = make_launch(epochs=(2,))
    (name,) = launch.training_ids()
    if ending == "finished":
        launch.finish_all()
    else:
        launch.fail(name, 1, "loss is nan")
    for attempt in (1, 2, 10):
        (launch.folder / name).mkdir(exist_ok=True)
        text = f"attempt {attempt} at http://anna:hunter2@host\n"
        (launch.folder / name / f"log-{attempt}.txt").write_text(text)
    for _ in range(2):
        project_launch(launch.storage, store)
    run = runs_of(client, launch)[f"{name}-e2"]
    lines = client.download_artifacts(run.info.run_id, "log.txt")
    assert [line for line in Path(lines).read_text().splitlines() if line.startswith("att")] == [
        f"attempt {attempt} at http://***@host" for attempt in (1, 2, 10)
    ]
