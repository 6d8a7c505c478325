"""What the tests of outages and of lost nodes check in the same way."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from safetensors.torch import load_file
from torch import Tensor

from tuning.tracking.fetch_weights import load_logged_weights


def wait_until(driver: Any, condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + 600
    while not condition():
        assert driver.process.poll() is None, driver.wait()
        assert time.monotonic() < deadline, f"timed out waiting for {what}"
        time.sleep(0.02)


def run(user: Any, *words: str, status: int = 0, program: list[str] | None = None) -> Any:
    """The outcome of a command, of `chromatune` or `program`, that must end with `status`."""
    ended = user.start(*words, program=program).wait()
    assert ended.status == status, ended.out + ended.err
    return ended


def results(ended: Any) -> list[dict[str, Any]]:
    """The cells that a command printed, without what differs between two launches."""
    names = ("launch_id", "run_id")
    return [{key: value for key, value in cell.items() if key not in names} for cell in ended.cells]


def losses(cell: dict[str, Any]) -> list[tuple[int, float]]:
    return [(record["epoch"], record["train_loss"]) for record in cell["history"]]


def assert_all_in_mlflow(user: Any, count: int | None = None) -> dict[str, int]:
    """Every run of `count` cells has ended, with metrics and weights of its cell, once."""
    points = 0
    runs, cells = user.runs(), user.cells()
    assert runs.keys() == {"", *cells}
    assert {run.info.status for run in runs.values()} == {"FINISHED"}
    assert count in (None, len(cells))
    for cell_id, cell in cells.items():
        logged = user.metric(runs[cell_id], "train_loss")
        assert logged == losses(cell)
        points += len(logged)
        weights, expected = logged_weights(user, runs[cell_id].info.run_id), user.weights(cell_id)
        assert weights.keys() == expected.keys()
        assert all(weights[name].equal(expected[name]) for name in expected)
    return {"runs checked": len(runs), "metrics checked": points, "losses": 0}


def logged_weights(user: Any, run_id: str) -> dict[str, Tensor]:
    """The weights of a run's one model, as MLflow has them."""
    (model,) = user.client().get_run(run_id).outputs.model_outputs
    with tempfile.TemporaryDirectory() as scratch:
        return load_file(
            load_logged_weights(f"models:/{model.model_id}", user.store, Path(scratch))
        )
