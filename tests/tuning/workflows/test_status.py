"""Where one launch stands, trial by trial, and until it ends."""

from __future__ import annotations

import json
import os
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from tests.commands import refusal, run
from tests.records import leave_cell
from tests.tuning.workflows.conftest import MakeLaunch
from tuning.launch import live
from tuning.launch.lease import leased
from tuning.launch.storage import LaunchStorage
from tuning.workflows import status

FIRST, SECOND = "cnn1-relu-lr1e-3", "cnn1-relu-lr1e-4"


def read(name: str, storage_path: str) -> dict[str, Any]:
    printed = run("status", name, "--storage-path", storage_path, "--format", "json")
    assert printed.status == 0, printed.err
    (table,) = json.loads(printed.out)["tables"]
    return {trial["training_id"]: trial for trial in table["trials"]}


def shown(trial: dict[str, Any]) -> tuple[Any, ...]:
    return tuple(trial[key] for key in ("status", "epoch", "epochs", "value", "node"))


def leave_attempt(storage: LaunchStorage, folder: str, *epochs: int, error: str = "") -> None:
    storage.write_json(f"{folder}/begun.json", {"hostname": f"node-of-{folder}"})
    for epoch in epochs:
        storage.write_json(f"{folder}/checkpoint_{epoch:06}/state.json", {})
    if error:
        (Path(storage.uri) / folder / "error.txt").write_text(f"Traceback\n  ...\n{error}\n")


def test_each_trial_has_its_node_epoch_score_and_error(
    make_launch: MakeLaunch, storage_path: str, as_bucket: str
) -> None:
    storage = make_launch()
    leave_attempt(storage, FIRST, 1, error="OSError: disk full")
    leave_attempt(storage, f"{FIRST}.2", 3)
    leave_cell(storage, FIRST, f"{FIRST}-e2", metrics={"val_mse": 0.25}, hostname="elsewhere")
    leave_attempt(storage, SECOND, 2, error="ValueError: [no] such \x1b[31mcolor")
    for place, folder in ((storage_path, storage.uri), (as_bucket, f"{as_bucket}/grid-1")):
        trials = read("last", place)
        # The second attempt is the one that counts.
        assert shown(trials[FIRST]) == ("stopped", 3, 4, 0.25, f"node-of-{FIRST}.2")
        assert (trials[FIRST]["error"], trials[FIRST]["log"]) == ("", "")
        assert shown(trials[SECOND]) == ("failed", 2, 4, None, f"node-of-{SECOND}")
        assert trials[SECOND]["log"] == f"{folder}/{SECOND}/error.txt"
        text = run("status", "grid-1", "--storage-path", place).out
        log = f"{folder}/{SECOND}/error.txt"
        assert f"{SECOND} failed: ValueError: [no] such \\x1b[31mcolor; log: {log}\n" in text
        assert "grid-1: stopped; 1 of 4 cells, best 2.50e-1" in text


def test_a_running_launch_says_what_its_trials_have_reached(
    make_launch: MakeLaunch, storage_path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "_EVERY_S", 0.01)
    storage = make_launch()
    leave_attempt(storage, FIRST, error="MemoryError")
    leave_attempt(storage, SECOND, error="OSError: once")
    current = {
        FIRST: {"status": "failed", "epoch": 1, "value": None},
        SECOND: {"status": "running", "epoch": 3, "value": 0.125},
    }
    with leased(storage), live.published(storage, lambda: current):
        wait_until(lambda: storage.exists(live.LIVE))
        trials = read("grid-1", storage_path)
        assert shown(trials[FIRST]) == ("failed", 1, 4, None, f"node-of-{FIRST}")
        assert trials[FIRST]["error"] == "MemoryError"
        assert shown(trials[SECOND]) == ("running", 3, 4, 0.125, f"node-of-{SECOND}")
        assert trials[SECOND]["error"] == ""  # that of an attempt before
        current = {SECOND: {"status": "running", "epoch": 4, "value": 0.1}}
        wait_until(lambda: read("grid-1", storage_path)[SECOND]["epoch"] == 4)
        assert f"process {os.getpid()}" in run("status", "--storage-path", storage_path).out
    assert not storage.exists(live.LIVE)


def test_a_launch_is_followed_until_it_ends(
    make_launch: MakeLaunch, storage_path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(status, "_EVERY_S", 0.01)
    storage = make_launch()
    ends = threading.Event()

    def work() -> None:
        with leased(storage):
            ends.wait(60)
            for name in (FIRST, SECOND):
                for epoch in (2, 4):
                    history = [{"epoch": epoch}]
                    metrics = {"val_mse": 0.5 / epoch}
                    leave_cell(storage, name, f"{name}-e{epoch}", metrics=metrics, history=history)

    worker = threading.Thread(target=work, daemon=True)
    worker.start()
    wait_until(lambda: storage.exists("owner.json"))
    threading.Timer(0.2, ends.set).start()
    followed = run("status", "--follow", "--storage-path", storage_path)
    worker.join(60)
    assert followed.status == 0
    assert "grid-1: 2 trials, 8 epochs" in followed.err
    assert f"{SECOND} done: epoch 4/4, val_mse 1.25e-1 (2 of 2 trials ended)" in followed.err
    assert "grid-1: finished; 4 of 4 cells" in followed.out
    # Of one that has ended there is nothing to follow.
    again = run("status", "--follow", "--storage-path", storage_path)
    assert (again.err, again.out) == ("", followed.out)


def test_a_misspelt_launch_is_refused(make_launch: MakeLaunch, storage_path: str) -> None:
    make_launch("grid-1")
    said = refusal("status", "gird-1", "--storage-path", storage_path)
    assert "no launch 'gird-1'" in said
    assert "did you mean 'grid-1'" in said


def wait_until(condition: Any) -> None:
    ends = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < ends
        time.sleep(0.01)
