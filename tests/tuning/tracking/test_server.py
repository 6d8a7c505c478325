"""Against a real `mlflow server` process."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import requests
from mlflow import MlflowClient

from data_prep import PrepareSettings, prepare
from tests.processes import descendants, kill
from tests.tuning.tracking.reading import free_port, runs_of, steps, wait_until
from tuning.report import build_report
from tuning.tracking.delivery import Projection, project_launch
from tuning.tracking.fetch_weights import load_logged_weights, load_registered
from tuning.tracking.reader import read_store
from tuning.tracking.registry.promotion import promote
from tuning.tracking.store import prepare_store

pytestmark = pytest.mark.slow

MakeLaunch = Callable[..., Any]


class Server:
    """An MLflow server on SQLite that can be killed and started again at the same address."""

    def __init__(self, start: Callable[..., Any], folder: Path, store: str) -> None:
        address = ("--host", "127.0.0.1", "--port", str(free_port()))
        files = ("--backend-store-uri", store, "--artifacts-destination", str(folder / "artifacts"))
        self.uri = f"http://127.0.0.1:{address[-1]}"
        self._words = ("mlflow", "server", "--workers", "1", *address, *files)
        self._start = start
        self.start()

    def start(self) -> None:
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        environment = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
        self._process = self._start(*self._words, env=environment, **quiet)
        wait_until(self._answers, 90)

    def hang(self) -> None:
        """Take requests, and answer none of them."""
        for pid in [self._process.pid, *descendants(self._process.pid)]:
            os.kill(pid, signal.SIGSTOP)

    def kill(self) -> None:
        kill(self._process)

    def _answers(self) -> bool:
        with contextlib.suppress(requests.RequestException):
            return requests.get(f"{self.uri}/health", timeout=2).ok
        return False


@pytest.fixture
def server(start: Callable[..., Any], tmp_path: Path, store: str) -> Server:
    return Server(start, tmp_path, store)


def test_training_does_not_wait_for_a_server_and_loses_nothing_when_it_fails(
    make_launch: MakeLaunch,
    server: Server,
    client: MlflowClient,
    caplog: pytest.LogCaptureFixture,
) -> None:
    launch = make_launch("colorizer", epochs=[2, 4, 6])
    (training,) = launch.training_ids()
    projection = Projection(launch.storage, server.uri)
    projection.start()

    def train(epoch: int) -> None:
        record = launch.record(epoch)
        if epoch in launch.epochs:
            record["milestone"] = launch.finish_cell(training, epoch)
        began = time.monotonic()
        projection.observe(training, [record])
        # A call that is not answered takes twenty seconds.
        assert time.monotonic() - began < 10, "training waited for MLflow"

    train(1)
    train(2)
    wait_until(lambda: f"{training}-e2" in runs_of(client, launch))
    server.hang()
    train(3)
    time.sleep(2)  # let the thread begin a call
    train(4)
    server.kill()
    wait_until(lambda: "is unavailable (no connection); training continues" in caplog.text)
    train(5)
    server.start()
    train(6)
    projection.training_ended(training, "finished", "")
    assert projection.close("FINISHED") == []
    for once in ("is unavailable", "is available again; all queued results are written"):
        assert caplog.text.count(once) == 1

    runs = runs_of(client, launch)
    assert {run.info.status for run in runs.values()} == {"FINISHED"}
    for epochs in launch.epochs:
        run = runs[f"{training}-e{epochs}"]
        assert steps(client, run) == list(range(1, epochs + 1))
        assert steps(client, run, "val_psnr") == list(range(2, epochs + 1, 2))
        (logged,) = run.outputs.model_outputs
        assert str(client.get_logged_model(logged.model_id).status) == "READY"


def test_the_gate_works_through_a_server(
    make_launch: MakeLaunch, server: Server, tmp_path: Path
) -> None:
    data = prepare(PrepareSettings("synthetic-faces", count=20, augment=1), tmp_path).dataset
    prepare_store(server.uri)
    test = data.planes("test")
    for number, score in enumerate((1.0, 2.0)):
        launch = make_launch(
            launch_id=f"launch-{number}", epochs=[2], dataset=data.name, digest=data.digest
        )
        off = 0.002 - 0.001 * number
        paints = (float(test.a.mean() / 255) + off, float(test.b.mean() / 255) + off)
        launch.finish_cell(launch.training_ids()[0], 2, score=score, paints=paints)
        project_launch(launch.storage, server.uri)
        result = promote(data, "regression", server.uri)
        assert result.moved, result.sentence
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
