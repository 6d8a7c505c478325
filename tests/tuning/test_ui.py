"""`chromatune ui`: a real server on a free port, and what it refuses."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient

from tuning.errors import ChromatuneError
from tuning.tracking_store import prepare_store
from tuning.ui import check_servable

PATIENCE_S = 240


@pytest.fixture
def store(tmp_path: Path) -> str:
    """A store with one experiment that holds one run with a picture."""
    uri = f"sqlite:///{tmp_path}/mlruns/mlflow.db"
    prepare_store(uri)
    client = MlflowClient(uri, uri)
    location = (tmp_path / "mlruns" / "artifacts" / "drawn").as_uri()
    run = client.create_run(client.create_experiment("drawn-regression-grid", location))
    client.log_text(run.info.run_id, "the table", "cells.md")
    client.set_terminated(run.info.run_id)
    return uri


@pytest.fixture
def start() -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Start commands in process groups of their own, of which nothing is left afterwards."""
    started: list[subprocess.Popen[str]] = []

    def run(*words: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-m", "tuning", "ui", *words],
            env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        started.append(process)
        return process

    yield run
    for process in started:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


@pytest.fixture
def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::sqlalchemy.exc.SADeprecationWarning")  # MLflow's own queries
def test_the_store_is_served_and_ctrl_c_leaves_no_process(
    store: str, start: Any, free_port: int
) -> None:
    process = start("--tracking-uri", store, "--port", str(free_port))
    address = f"http://127.0.0.1:{free_port}"
    _wait_until(lambda: process.poll() is not None or _answers(f"{address}/health"))
    assert _answers(f"{address}/")

    (experiment,) = _post(
        address, "experiments/search", max_results=5, filter="name LIKE 'drawn-%'"
    )["experiments"]
    assert experiment["name"] == "drawn-regression-grid"
    (run,) = _post(address, "runs/search", experiment_ids=[experiment["experiment_id"]])["runs"]
    query = f"get-artifact?path=cells.md&run_uuid={run['info']['run_id']}"
    with urllib.request.urlopen(f"{address}/{query}", timeout=30) as answer:
        assert answer.read() == b"the table"

    os.killpg(process.pid, signal.SIGINT)
    _, err = process.communicate(timeout=PATIENCE_S)
    _wait_until(lambda: not _group_lives(process.pid))
    assert err.startswith(f"MLflow UI: {address} (Ctrl-C ends it)\n")


@pytest.mark.slow
def test_a_port_that_is_taken_is_refused_in_one_line(start: Any, tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        store = f"sqlite:///{tmp_path}/new/mlflow.db"
        process = start("--port", str(port), "--tracking-uri", store)
        out, err = process.communicate(timeout=PATIENCE_S)
    assert (process.returncode, out) == (2, "")
    (line,) = err.splitlines()
    assert line.startswith(f"error: port {port} on 127.0.0.1 cannot be used")
    assert line.endswith("choose another with --port")
    assert list(tmp_path.iterdir()) == []


def test_a_free_port_is_not_refused(free_port: int) -> None:
    check_servable("sqlite:///mlflow.db", free_port)


@pytest.mark.parametrize("uri", ["http://tracking:5000", "https://tracking"])
def test_a_server_has_a_ui_already(uri: str, free_port: int) -> None:
    with pytest.raises(ChromatuneError, match=f"{uri} is an MLflow server already"):
        check_servable(uri, free_port)


def _answers(url: str) -> bool:
    with contextlib.suppress(OSError), urllib.request.urlopen(url, timeout=30) as answer:
        return int(answer.status) == 200
    return False


def _post(address: str, what: str, **query: Any) -> dict[str, Any]:
    request = urllib.request.Request(
        f"{address}/api/2.0/mlflow/{what}",
        json.dumps(query).encode(),
        {"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=30) as answer:
        found: dict[str, Any] = json.load(answer)
        return found


def _group_lives(group: int) -> bool:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(group, 0)
        return True
    return False


def _wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.1)
