"""Against a real `mlflow server` process."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import requests

from data_prep import PrepareSettings, prepare
from tests.tuning.tracking.reading import free_port, wait_until
from tuning.report import build_report
from tuning.tracking.delivery import project_launch
from tuning.tracking.fetch_weights import load_logged_weights, load_registered
from tuning.tracking.reader import read_store
from tuning.tracking.registry.promotion import promote
from tuning.tracking.store import prepare_store


@pytest.fixture
def server(start: Callable[..., Any], tmp_path: Path, store: str) -> str:
    """The address of an MLflow server on SQLite."""
    address = ("--host", "127.0.0.1", "--port", str(free_port()))
    files = ("--backend-store-uri", store, "--artifacts-destination", str(tmp_path / "artifacts"))
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    environment = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    start("mlflow", "server", "--workers", "1", *address, *files, env=environment, **quiet)
    uri = f"http://127.0.0.1:{address[-1]}"

    def answers() -> bool:
        with contextlib.suppress(requests.RequestException):
            return requests.get(f"{uri}/health", timeout=2).ok
        return False

    wait_until(answers, 90)
    return uri


@pytest.mark.slow
def test_the_gate_works_through_a_server(
    make_launch: Callable[..., Any], server: str, tmp_path: Path
) -> None:
    data = prepare(PrepareSettings("synthetic-faces", count=20, augment=1), tmp_path).dataset
    prepare_store(server)
    for number, score in enumerate((1.0, 2.0)):
        launch = make_launch(
            launch_id=f"launch-{number}", epochs=[2], dataset=data.name, digest=data.digest
        )
        off = 0.1 - 0.04 * number
        launch.finish_cell(launch.training_ids()[0], 2, score=score, paints=(0.5 + off, 0.5 + off))
        project_launch(launch.storage, server)
        result = promote(data, "regression", server)
        assert result.moved, result.decision
        assert result.version == number + 1
    fetched = load_logged_weights("models:/synthetic-faces-regression@champion", server)
    last = launch.folder / "cnn1-relu-lr0.001/cells/cnn1-relu-lr0.001-e2/model.safetensors"
    assert fetched.read_bytes() == last.read_bytes()
    assert load_registered("models:/synthetic-faces-regression/1", server).task == "regression"

    held, archive = read_store(server)
    report = build_report(held, archive)
    closer = next(section for section in report.sections if section.anchor == "closer")
    assert {"best-faces-regression", "worst-faces-regression"} <= {
        getattr(block, "name", "") for block in closer.blocks
    }
    assert str(held.link(held.launches[0])).startswith(f"{server}/#/experiments/")
