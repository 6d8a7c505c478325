"""Against real `mlflow server` and `mlflow models serve` processes."""

from __future__ import annotations

import contextlib
import logging
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import requests
from mlflow import MlflowClient

from data_prep import PrepareSettings, prepare
from tests.processes import kill
from tuning.report import build_report
from tuning.tracking.projection import Projection, project_launch
from tuning.tracking.reader import read_store
from tuning.tracking.registry.promotion import promote
from tuning.tracking.store import prepare_store
from tuning.tracking.weights import load_logged_weights, load_registered

pytestmark = [
    pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy"),
    pytest.mark.slow,
]

MakeLaunch = Callable[..., Any]


class Server:
    """An MLflow server on SQLite that can be stopped and started again at the same address."""

    def __init__(self, start: Callable[..., Any], folder: Path, store: str) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.uri = f"http://127.0.0.1:{self.port}"
        self._start = start
        self._command = [
            "mlflow", "server", "--workers", "1",
            "--host", "127.0.0.1", "--port", str(self.port), "--backend-store-uri", store,
            "--artifacts-destination", str(folder / "artifacts"),
        ]  # fmt: skip
        self.start()

    def start(self) -> None:
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        environment = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
        self._process = self._start(*self._command, env=environment, **quiet)
        wait_for(f"{self.uri}/health")

    def stop(self) -> None:
        kill(self._process)


def wait_for(url: str, seconds: float = 90) -> None:
    deadline = time.monotonic() + seconds
    while True:
        with contextlib.suppress(requests.RequestException):
            if requests.get(url, timeout=2).ok:
                return
        assert time.monotonic() < deadline, f"{url} did not answer"
        time.sleep(0.2)


@pytest.fixture
def server(start: Callable[..., Any], tmp_path: Path, store: str) -> Server:
    return Server(start, tmp_path, store)


def test_an_outage_in_mid_run_loses_nothing_and_doubles_nothing(
    make_launch: MakeLaunch,
    server: Server,
    caplog: pytest.LogCaptureFixture,
    capsys: pytest.CaptureFixture[str],
) -> None:
    launch = make_launch("colorizer", epochs=[2, 4, 6])
    training = launch.training_ids()[0]
    projection = Projection(launch.storage, server.uri)
    projection.start()

    def train(epoch: int) -> None:
        record = launch.record(epoch)
        if epoch in launch.epochs:
            record["milestone"] = launch.finish_cell(training, epoch)
        before = time.monotonic()
        projection.observe(training, [record])
        assert time.monotonic() - before < 0.1, "training waited for MLflow"

    with caplog.at_level(logging.WARNING, "tuning.tracking.projection"):
        train(1)
        train(2)
        time.sleep(2)
        train(3)
        server.stop()
        train(4)
        time.sleep(4)
        train(5)
        server.start()
        train(6)
        projection.training_ended(training, "finished", "")
        assert projection.close("FINISHED") == []
    told = [
        record.getMessage()
        for record in caplog.records
        if record.name == "tuning.tracking.projection"
    ]
    away, back = (line for line in told if not line.startswith("waiting up to 60 s"))
    assert away.startswith(
        f"MLflow at {server.uri} is unavailable (no connection); training continues"
    )
    assert back.startswith("MLflow is available again")
    assert capsys.readouterr().out == ""

    client = MlflowClient(server.uri, server.uri)
    experiments = [found.experiment_id for found in client.search_experiments()]
    runs = client.search_runs(experiments)
    assert len(runs) == 4
    assert {run.info.status for run in runs} == {"FINISHED"}
    for run in runs:
        if "chromatune.cell_id" not in run.data.tags:
            continue
        epochs = int(run.data.params["epochs"])
        for metric in ("train_loss", "val_psnr"):
            steps = [point.step for point in client.get_metric_history(run.info.run_id, metric)]
            wanted = range(1, epochs + 1) if metric == "train_loss" else (2, 4, 6)
            assert steps == [step for step in wanted if step <= epochs]
        assert len(run.outputs.model_outputs) == 1
        model = client.get_logged_model(run.outputs.model_outputs[0].model_id)
        assert str(model.status) == "READY"


def test_the_gate_works_through_a_server(
    make_launch: MakeLaunch, server: Server, tmp_path: Path
) -> None:
    data = prepare(PrepareSettings("synthetic-faces", count=20, augment=1), tmp_path).dataset
    prepare_store(server.uri)
    for number, score in enumerate((1.0, 2.0)):
        launch = make_launch(
            launch_id=f"launch-{number}", epochs=[2], dataset=data.name, digest=data.digest
        )
        off = 0.1 - 0.04 * number
        launch.finish_cell(launch.training_ids()[0], 2, score=score, paints=(0.5 + off, 0.5 + off))
        project_launch(launch.storage, server.uri)
        result = promote(data, "regression", server.uri)
        assert result.moved, result.decision
        assert result.version == number + 1
    fetched = load_logged_weights("models:/synthetic-faces-regression@champion", server.uri)
    last = launch.folder / "cnn1-relu-lr0.001/cells/cnn1-relu-lr0.001-e2/model.safetensors"
    assert fetched.read_bytes() == last.read_bytes()
    assert load_registered("models:/synthetic-faces-regression/1", server.uri).task == "regression"

    held, archive = read_store(server.uri)
    report = build_report(held, archive)
    closer = next(section for section in report.sections if section.anchor == "closer")
    assert {"best-faces-regression", "worst-faces-regression"} <= {
        getattr(block, "name", "") for block in closer.blocks
    }
    assert str(held.link(held.launches[0])).startswith(f"{server.uri}/#/experiments/")
