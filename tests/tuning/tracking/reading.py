"""What a launch left in an MLflow store, and waiting for it."""

from __future__ import annotations

import socket
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mlflow import MlflowClient
from mlflow.entities import Run


def database(store: str) -> Path:
    return Path(store.removeprefix("sqlite:///"))


def all_runs(client: MlflowClient, query: str = "") -> list[Run]:
    experiments = [found.experiment_id for found in client.search_experiments()]
    return list(client.search_runs(experiments, query))


def runs_of(client: MlflowClient, launch: Any) -> dict[str, Run]:
    """A launch's runs by cell id, the parent under ''; fails if a key occurs twice."""
    launch_id = launch.document["launch_id"]
    runs = all_runs(client, f"tags.`chromatune.launch_id` = '{launch_id}'")
    keys = Counter(run.data.tags.get("chromatune.cell_id", "") for run in runs)
    assert max(keys.values(), default=1) == 1, keys
    return {run.data.tags.get("chromatune.cell_id", ""): run for run in runs}


def outcomes(client: MlflowClient) -> dict[str, list[tuple[str, str]]]:
    """Status and outcome of every run by cell id; the parent's is empty."""
    found: dict[str, list[tuple[str, str]]] = {}
    for run in all_runs(client):
        outcome = (run.info.status, run.data.tags["chromatune.outcome"])
        found.setdefault(run.data.tags.get("chromatune.cell_id", ""), []).append(outcome)
    return {key: sorted(pairs) for key, pairs in found.items()}


def steps(client: MlflowClient, run: Run, metric: str = "train_loss") -> list[int]:
    return [point.step for point in client.get_metric_history(run.info.run_id, metric)]


def wait_until(condition: Callable[[], Any], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it never came true"
        time.sleep(0.1)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
