"""Tracking servers that stop, databases that are locked, disks that are full: nothing is lost."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from data_prep import PreparedDataset
from tests.cluster.checks import assert_all_in_mlflow, losses, results, run, wait_until
from tuning.training.config import FitConfig
from tuning.training.data import load_task_data
from tuning.training.loop import fit

OUTAGE_S = 60
LOCKED_S = 30
REFUSED_WITHIN_S = 30
# Far below any outage here: a trial that had waited for MLflow would have paused for longer.
LONGEST_PAUSE_S = 15
LRS = [f"{lr}e-4" for lr in range(1, 9)]
# With a step for each picture an epoch takes long enough for MLflow to keep up with all of them.
ONE_BY_ONE = ["--set", "training.batch_size=1"]


def test_a_server_that_is_away_for_a_while_gets_everything_once(
    make_user: Callable[..., Any],
    make_server: Callable[..., Any],
    pictures: PreparedDataset,
    figures: Counter[str],
) -> None:
    """The tracking server (on PostgreSQL) stops and starts again during a launch: training
    continues, and everything is delivered once. A server that never answers is reported before any
    training.
    """
    server = make_server()
    user = make_user(uri=server.uri)
    began = time.monotonic()
    refused = user.start(*grid(user)).wait()
    waited = time.monotonic() - began
    assert refused.status == 2
    (line,) = refused.err.splitlines()
    assert f"the tracking server {server.uri} cannot be reached" in line
    assert waited < REFUSED_WITHIN_S
    assert user.launches() == []

    server.start()
    # Cells enough that some are finished while the server is away, and others after it is back.
    last = epochs_lasting(1.5 * OUTAGE_S, pictures, trials=2)
    milestones = [2, *(last * tenth // 10 for tenth in range(1, 11))]
    epochs = ",".join(map(str, milestones))
    driver = user.start(*grid(user, "--epochs", epochs, *ONE_BY_ONE))
    wait_until(driver, lambda: bool(user.cells()), "a first cell")
    before = len(user.cells())
    server.stop()
    stopped = time.time()
    time.sleep(OUTAGE_S)
    after = len(user.cells())
    started = time.time()
    server.start()
    assert before < after < 2 * len(milestones)
    finished = driver.wait()
    assert finished.status == 0, finished.err
    assert "is unavailable" in finished.err
    assert "MLflow is available again" in finished.err
    figures.update(assert_all_in_mlflow(user, 2 * len(milestones)))
    trained, pause = trained_between(user, stopped, started)
    assert len(trained) == 2
    assert min(trained) > 0
    assert pause < LONGEST_PAUSE_S, "the trials have waited for MLflow"
    figures.update(
        {"seconds away": round(started - stopped), "seconds until refused": round(waited)}
    )
    figures.update({"epochs trained meanwhile": sum(trained), "cells meanwhile": after - before})


def test_eight_trials_at_once_on_a_database_that_another_process_locks(
    make_user: Callable[..., Any],
    pictures: PreparedDataset,
    figures: Counter[str],
) -> None:
    """Eight trials log every epoch on SQLite while another process locks it: nothing is lost."""
    user = make_user()
    last = epochs_lasting(4 * LOCKED_S, pictures, trials=len(LRS))
    words = ["--lrs", ",".join(LRS), "--epochs", f"2,{last}", "--cpus-per-trial", "0.25"]
    driver = user.start(*grid(user, *words, *ONE_BY_ONE))
    wait_until(driver, lambda: len(user.cells()) == len(LRS), "the first cell of each trial")
    program = (
        "import sqlite3, sys, time\n"
        "held = sqlite3.connect(sys.argv[1], timeout=60, isolation_level=None)\n"
        "held.execute('BEGIN EXCLUSIVE')\n"
        "time.sleep(float(sys.argv[2]))\n"
    )
    database = f"{user.folder}/mlruns/mlflow.db"
    subprocess.run([sys.executable, "-c", program, database, str(LOCKED_S)], check=True)
    unlocked = time.time()
    assert len(user.cells()) == len(LRS), "the trainings are too short for the lock"
    finished = driver.wait()
    assert finished.status == 0, finished.err
    figures.update(assert_all_in_mlflow(user, 2 * len(LRS)))
    trained, pause = trained_between(user, unlocked - LOCKED_S, unlocked)
    assert len(trained) >= 8
    assert min(trained) > 0
    assert pause < LONGEST_PAUSE_S, "the trials have waited for MLflow"
    figures.update({"seconds locked": LOCKED_S, "epochs trained meanwhile": sum(trained)})


def test_a_full_disk_stops_a_launch_that_then_goes_on(
    make_user: Callable[..., Any],
    small_disk: Path,
    figures: Counter[str],
) -> None:
    """A full disk stops a launch with an error message; with space again, it resumes to the table
    of an undisturbed launch.
    """
    usual = make_user()
    expected = run(usual, *grid(usual, *ONE_BY_ONE))

    user = make_user(storage=f"{small_disk}/launches")
    driver = user.start(*grid(user, "--max-concurrent-trials", "1", *ONE_BY_ONE))
    user.wait_for_first_cell(driver)
    ballast = small_disk / "ballast"
    fill(ballast)
    stopped = driver.wait()
    assert stopped.status == 1, stopped.err
    assert "No space left on device" in stopped.err
    assert "chromatune resume" in stopped.err

    ballast.unlink()
    resumed = run(user, *user.resume("last", "--format", "json"))
    assert results(resumed) == results(expected)
    figures.update(assert_all_in_mlflow(user))
    figures["cells equal"] = len(resumed.cells)


def test_a_full_disk_stops_a_search_that_then_goes_on(
    make_user: Callable[..., Any],
    small_disk: Path,
    figures: Counter[str],
) -> None:
    """A full disk stops a search with an error message; with space again, it resumes and completes
    all trials, each epoch once.
    """
    user = make_user(storage=f"{small_disk}/launches")
    space = user.folder / "space.yaml"
    space.write_text(yaml.safe_dump({"search": {"space": SPACE, "scheduler": "none"}}))
    words = ["search", "regression", "-c", str(space), *user.data, *user.where, *ONE_BY_ONE]
    driver = user.start(*words, "--num-samples", "3", "--seed", "1")
    wait_until(driver, lambda: bool(user.cells()), "a first cell")
    ballast = small_disk / "ballast"
    fill(ballast)
    stopped = driver.wait()
    assert stopped.status in (1, 2), stopped.err
    assert "No space left on device" in stopped.err
    assert "chromatune resume" in stopped.err
    assert "Traceback" not in stopped.err
    assert "RUNNING" not in {run.info.status for run in user.runs().values()}

    ballast.unlink()
    resumed = run(user, *user.resume("last", "--format", "json"))
    (table,) = json.loads(resumed.out)["tables"]
    assert table["counts"] == {"finished": 3}
    runs = user.runs()
    assert {run.info.status for run in runs.values()} == {"FINISHED"}
    assert runs.keys() == {"", *user.cells()}
    for cell_id, cell in user.cells().items():
        assert [record["epoch"] for record in cell["history"]] == list(range(1, 61))
        logged = user.metric(runs[cell_id], "train_loss")
        # The figures of the state that was kept are the run's last ones.
        assert len(logged) == 60 + (cell["kept_epoch"] != 60)
        assert set(losses(cell)) <= set(logged)
    figures.update({"trials": 3, "runs checked": len(runs), "losses": 0})


def test_a_store_that_becomes_read_only_gets_the_rest_when_the_launch_is_resumed(
    make_user: Callable[..., Any],
    pictures: PreparedDataset,
    make_read_only: Callable[..., None],
    figures: Counter[str],
) -> None:
    """The store becomes read-only during a launch: training completes, and `resume` writes what
    MLflow lacks and trains nothing again.
    """
    user = make_user()
    last = epochs_lasting(20, pictures, trials=2)
    driver = user.start(*grid(user, "--epochs", f"2,{last}", *ONE_BY_ONE))
    wait_until(driver, lambda: bool(user.cells()), "a first cell")
    store = user.folder / "mlruns"
    make_read_only(store, store / "mlflow.db")
    before = len(user.cells())
    stopped = driver.wait()
    assert stopped.status == 1, stopped.err
    assert "is unavailable" in stopped.err
    assert "(sqlite3.OperationalError)" in stopped.err
    assert "Traceback" not in stopped.err
    assert f"not in MLflow yet: `chromatune resume {user.launch().name}`" in stopped.err
    ended = {cell_id: cell["ended"] for cell_id, cell in user.cells().items()}
    assert before < len(ended) == 4, "the trials have waited for MLflow"

    make_read_only(store, store / "mlflow.db", undo=True)
    resumed = run(user, *user.resume("last", "--format", "json"))
    assert results(resumed) == results(stopped)
    assert {cell_id: cell["ended"] for cell_id, cell in user.cells().items()} == ended
    figures.update(assert_all_in_mlflow(user))


def test_a_store_on_a_full_disk_gets_everything_once_there_is_room(
    make_user: Callable[..., Any],
    pictures: PreparedDataset,
    small_disk: Path,
    figures: Counter[str],
) -> None:
    """The disk of the store is full during a launch: training continues, and everything is written
    once there is space.
    """
    user = make_user(uri=f"sqlite:///{small_disk}/mlflow.db")
    last = epochs_lasting(30, pictures, trials=2)
    milestones = [2, last // 4, last // 2, last]
    epochs = ",".join(map(str, milestones))
    driver = user.start(*grid(user, "--epochs", epochs, *ONE_BY_ONE))
    wait_until(driver, lambda: bool(user.cells()), "a first cell")
    ballast = small_disk / "ballast"
    fill(ballast)
    wait_until(
        driver, lambda: "is unavailable" in (driver.output / "err").read_text(), "a word of it"
    )
    before = len(user.cells())
    wait_until(driver, lambda: len(user.cells()) > before, "a cell on the full disk")
    ballast.unlink()
    finished = driver.wait()
    assert finished.status == 0, finished.err
    # Whoever comes first: the file of a model, or the database.
    assert "No space left on device" in finished.err or "disk is full" in finished.err
    assert "MLflow is available again" in finished.err
    figures.update(assert_all_in_mlflow(user, 2 * len(milestones)))


def test_read_only_places_are_refused_before_anything_is_trained(
    make_user: Callable[..., Any],
    small_disk: Path,
    figures: Counter[str],
) -> None:
    """A read-only store or storage path is rejected before anything is trained."""
    subprocess.run(
        [sys.executable, "-c", _MIGRATE, f"sqlite:///{small_disk}/mlflow.db"], check=True
    )
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    store = make_user(uri=f"sqlite:///{small_disk}/mlflow.db")
    storage = make_user(storage=f"{small_disk}/launches")
    words = ("cannot open the tracking store", "cannot write to the storage path")
    for user, problem in zip((store, storage), words, strict=True):
        refused = run(user, *grid(user), status=2)
        (line,) = refused.err.splitlines()
        assert problem in line
        assert "Read-only file system" in line
        assert user.launches() == []
    figures.update({"refusals": 2, "trainings started": 0})


def test_launches_in_a_bucket_are_written_killed_and_gone_on_with(
    make_user: Callable[..., Any],
    figures: Counter[str],
) -> None:
    """A launch in a bucket (`--storage-path s3://...`) is rejected for a second process, survives
    `kill -9` of its driver and resumes to the table of one on a local disk.
    """
    boto3 = pytest.importorskip("boto3")
    server = pytest.importorskip("moto.server")
    usual = make_user()
    expected = run(usual, *grid(usual))

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    s3 = server.ThreadedMotoServer("127.0.0.1", port, verbose=False)
    s3.start()
    access = {
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
        "AWS_ACCESS_KEY_ID": "anyone",
        "AWS_SECRET_ACCESS_KEY": "anything",
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    with pytest.MonkeyPatch.context() as patch:
        for name, value in access.items():
            patch.setenv(name, value)
        client = boto3.client("s3")
        client.create_bucket(Bucket="launches")

        def keys() -> list[str]:
            pages = client.get_paginator("list_objects_v2").paginate(Bucket="launches")
            return [one["Key"] for page in pages for one in page.get("Contents", [])]

        user = make_user(storage="s3://launches/of/mine", environment=access)
        driver = user.start(*grid(user, "--max-concurrent-trials", "1"))
        wait_until(driver, lambda: any(key.endswith("/cell.json") for key in keys()), "a cell")
        second = run(user, *user.resume("last"), status=2)
        assert re.search(r"grid-\S+ is in use by process \d+ on \S+ \(last", second.err)
        driver.kill()
        resumed = run(user, *user.resume("last", "--format", "json"))
        assert results(resumed) == results(expected)
        cells = [key for key in keys() if key.endswith("/cell.json")]
        assert len(cells) == len(expected.cells)
        again = run(user, *user.resume("last", "--format", "json"))
        assert results(again) == results(expected)
    s3.stop()
    assert not (user.folder / "s3:").exists()
    figures.update({"drivers killed": 1, "cells equal": len(cells), "losses": 0})


SPACE = {
    "model": "cnn1",
    "head": "tanh",
    "epochs": 60,
    "lr": {"type": "float", "low": 1e-4, "high": 1e-2, "log": True},
}
_MIGRATE = "import sys; from tuning.tracking.store import prepare_store; prepare_store(sys.argv[1])"


def grid(user: Any, *options: str) -> list[str]:
    """The small grid of regressions: two trainings, four cells."""
    return [*user.grid("regression", *options), "--format", "json"]


def epochs_lasting(seconds: float, pictures: PreparedDataset, *, trials: int) -> int:
    """How many epochs of a small training take so long at least, if `trials` share this machine."""
    config = FitConfig("cnn1", "relu", 1e-3, (20,), image_size=128, batch_size=1)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # as a trial has
    # The fastest: what else the machine does makes the others longer, and would make these few.
    epochs = fit(config, load_task_data(pictures, "regression"))
    fastest = min(float(one.record["seconds"]) for one in epochs)
    torch.set_num_threads(threads)
    return round(seconds / (fastest * max(1, trials / len(os.sched_getaffinity(0)))))


def trained_between(user: Any, begin: float, end: float) -> tuple[list[int], float]:
    """How many epochs of each training ended in a span of time, and the longest pause in it."""
    ended: dict[str, list[float]] = {}
    for cell in user.cells().values():
        times = [one["timestamp"] / 1000 for one in cell["history"]]
        ended[cell["training_id"]] = max(ended.get(cell["training_id"], []), times, key=len)
    within = [
        [begin, *(one for one in times if begin < one < end), end] for times in ended.values()
    ]
    pauses = [later - one for times in within for one, later in itertools.pairwise(times)]
    return [len(times) - 2 for times in within], max(pauses)


def fill(ballast: Path) -> None:
    """Take up what is left on a disk, to the last byte."""
    with ballast.open("wb", buffering=0) as file:
        # At once, or the trainings might end meanwhile.
        os.posix_fallocate(file.fileno(), 0, shutil.disk_usage(ballast.parent).free - 2**20)
        file.seek(0, os.SEEK_END)
        for size in (2**10, 1):
            with contextlib.suppress(OSError):
                while True:
                    file.write(bytes(size))
