"""Where launches stand, as it is read from their folders."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.commands import refusal, run
from tests.records import leave_cell
from tests.tuning.workflows.conftest import MakeLaunch
from tuning.launch.lease import leased
from tuning.launch.storage import LaunchStorage

NAMES = ("cnn1-relu-lr1e-3", "cnn1-relu-lr1e-4")


def leave(storage: LaunchStorage, name: str, *epochs: int, mse: float = 0.5, **more: Any) -> None:
    for epoch in epochs:
        metrics = {"val_mse": mse / epoch}
        leave_cell(storage, name, f"{name}-e{epoch}", metrics=metrics, **more)


def fail(storage: LaunchStorage, name: str) -> None:
    storage.write_json(f"{name}/failed.json", {"outcome": "diverged", "message": "loss is nan"})


def listed(storage_path: str) -> list[dict[str, Any]]:
    printed = run("launches", "--storage-path", storage_path, "--format", "json")
    assert printed.status == 0, printed.err
    (table,) = json.loads(printed.out)["tables"]
    return list(table["launches"])


@pytest.mark.parametrize(
    ("reached", "failed", "state", "done"),
    [
        ((), (), "stopped", 0),
        (((2, 4), (2,)), (), "stopped", 3),
        (((2, 4), (2, 4)), (), "finished", 4),
        (((2, 4), (2,)), (1,), "failed", 3),
        (((2,), ()), (1,), "stopped", 1),
    ],
)
def test_a_grid_is_finished_when_it_has_all_cells_and_failed_when_it_cannot(
    reached: tuple[tuple[int, ...], ...],
    failed: tuple[int, ...],
    state: str,
    done: int,
    make_launch: MakeLaunch,
    storage_path: str,
) -> None:
    storage = make_launch(created=round((time.time() - 7200) * 1000))
    for name, epochs in zip(NAMES, reached, strict=False):
        leave(storage, name, *epochs)
    for number in failed:
        fail(storage, NAMES[number])
    (launch,) = listed(storage_path)
    assert (launch["state"], launch["done"], launch["cells"]) == (state, done, 4)
    text = run("launches", "--storage-path", storage_path).out
    assert all(word in text for word in ("grid-1", state, f"{done}/4", "2 h"))


def test_the_best_finished_cell_is_named(make_launch: MakeLaunch, storage_path: str) -> None:
    storage = make_launch()
    leave(storage, NAMES[0], 2, 4, mse=0.4)
    leave(storage, NAMES[1], 2, mse=0.1, outcome="stopped")
    (launch,) = listed(storage_path)
    assert launch["metric"] == "val_mse"
    assert launch["best"] == {"cell_id": f"{NAMES[0]}-e4", "value": 0.1}
    assert "1.00e-1" in run("launches", "--storage-path", storage_path).out


@pytest.mark.parametrize(
    ("budget", "left", "state"),
    [
        ({"allowance": {"num_samples": 5}}, 3, "stopped"),
        # It has ended before: the grid has no more points, or the best score did not improve.
        ({"allowance": {"num_samples": 5}, "over": True}, 0, "finished"),
        (
            {"allowance": {"num_samples": 5, "cpu_hours": 1}, "spent": {"cpu_hours": 1.1}},
            *(3, "finished"),
        ),
        ({"allowance": "many"}, 0, "failed"),  # taken for a launch of two trials
    ],
    ids=["trials left", "over", "hours used up", "damaged"],
)
def test_a_search_counts_the_trials_that_it_has_not_begun(
    budget: dict[str, Any], left: int, state: str, make_launch: MakeLaunch, storage_path: str
) -> None:
    objectives = {"search": {"objectives": ["val_rmse_lab_a:min"]}}
    storage = make_launch("search-1", kind="search", config=objectives)
    document = storage.read_json("launch.json")
    storage.write_json("launch.json", {**document, "trainings": []})
    storage.write_json("search.json", budget)
    for training in document["trainings"]:
        name = training["training_id"]
        training["cells"] = [{"cell_id": name, "epochs": 4}]
        storage.write_json(f"{name}/training.json", training)
    metrics = {"val_mse": 0.5, "val_rmse_lab_a": 7.0}
    leave_cell(storage, NAMES[0], NAMES[0], metrics=metrics)
    fail(storage, NAMES[1])
    (launch,) = listed(storage_path)
    assert (launch["state"], launch["done"], launch["cells"]) == (state, 1, 2 + left)
    assert launch["best"] == {"cell_id": NAMES[0], "value": 7.0}


def test_launches_in_a_bucket_are_listed_the_newest_first_and_running_ones_with_their_process(
    make_launch: MakeLaunch, as_bucket: str
) -> None:
    make_launch("grid-old", created=1)
    storage = make_launch("grid-new", created=3)
    dead = {"host": "elsewhere", "pid": 1, "machine": "another boot", "started": "1"}
    storage.write_json("owner.json", {**dead, "token": "0", "heartbeat": time.time() - 600})
    running = make_launch("grid-mid", created=2)
    with leased(running):
        launches = listed(as_bucket)
        text = run("launches", "--storage-path", as_bucket).out
    assert [each["launch_id"] for each in launches] == ["grid-new", "grid-mid", "grid-old"]
    assert [each["state"] for each in launches] == ["stopped", "running", "stopped"]
    assert (launches[1]["host"], launches[1]["pid"]) == (socket.gethostname(), os.getpid())
    assert f"on {socket.gethostname()}, process {os.getpid()}" in text
    assert launches[0]["folder"] == "s3://bucket/grid-new"


def test_what_cannot_be_read_is_named_and_hides_no_other(
    make_launch: MakeLaunch, storage_path: str
) -> None:
    assert "no launch in" in refusal("launches", "--storage-path", storage_path)
    make_launch("grid-good")
    broken = make_launch("grid-bad-cell")
    broken.write_json(f"{NAMES[0]}/cells/{NAMES[0]}-e2/cell.json", {})
    make_launch("grid-no-launch", kind="dance")
    # It cannot be trained here, but listed.
    unknown = make_launch("grid-own")
    document = unknown.read_json("launch.json")
    document["trainings"][0]["params"]["model"] = "my_net"
    unknown.write_json("launch.json", document)
    printed = run("launches", "--storage-path", storage_path, "--format", "json")
    (table,) = json.loads(printed.out)["tables"]
    assert {each["launch_id"] for each in table["launches"]} == {"grid-good", "grid-own"}
    assert [line.split()[0] for line in table["problems"]] == ["grid-bad-cell", "grid-no-launch"]


def test_launches_are_listed_without_a_framework(
    make_launch: MakeLaunch, storage_path: str
) -> None:
    make_launch()
    heavy = {"ray", "mlflow", "optuna", "torch", "numpy", "pandas", "matplotlib", "pyarrow"}
    program = f"""
import sys
from tuning.cli import app
app(["launches", "--storage-path", {storage_path!r}], standalone_mode=False)
print({heavy} & sys.modules.keys())"""
    root = Path(__file__).parents[3]
    answer = subprocess.run(
        [sys.executable, "-c", program], cwd=root, capture_output=True, text=True, check=True
    )
    assert answer.stdout.splitlines()[-1] == "set()"
    assert "grid-1" in answer.stdout
