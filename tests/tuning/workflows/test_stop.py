"""A launch is stopped from another process, which says how to resume it."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from tests.commands import refusal, run
from tests.records import leave_cell
from tests.tuning.workflows.conftest import MakeLaunch
from tuning.launch import lease
from tuning.launch.lease import leased
from tuning.launch.storage import LaunchStorage
from tuning.workflows import stop

NAMES = ("cnn1-relu-lr1e-3", "cnn1-relu-lr1e-4")


@contextlib.contextmanager
def running(
    storage: LaunchStorage, monkeypatch: pytest.MonkeyPatch, end: Callable[[], None]
) -> Iterator[None]:
    """A launch in a thread, which calls `end` when it is interrupted, and stops then."""
    interrupted = threading.Event()
    monkeypatch.setattr(lease, "_interrupt", lambda: interrupted.set() or True)
    monkeypatch.setattr(lease, "_LISTEN_S", 0.02)
    monkeypatch.setattr(lease, "_LISTEN_REMOTE_S", 0.02)
    monkeypatch.setattr(stop, "_POLL_REMOTE_S", 0.02)

    def work() -> None:
        with leased(storage):
            interrupted.wait(60)
            end()

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    while not storage.exists("owner.json"):
        time.sleep(0.01)
    yield
    interrupted.set()
    thread.join(60)


@pytest.mark.parametrize("is_remote", [False, True])
def test_a_stopped_launch_says_how_to_resume(
    is_remote: bool,
    make_launch: MakeLaunch,
    storage_path: str,
    as_bucket: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    storage = make_launch()
    place, folder = (as_bucket, f"{as_bucket}/grid-1") if is_remote else (storage_path, storage.uri)
    with running(storage, monkeypatch, lambda: time.sleep(0.3)):
        stopped = run("stop", "last", "--storage-path", place)
    assert stopped.status == 0
    assert stopped.out == f"grid-1 stopped; resume with `chromatune resume {folder}`\n"
    assert stopped.err.startswith("stopping grid-1: process ")
    assert storage.list_dir() == ["launch.json"]
    said = refusal("stop", "--storage-path", place)
    resume = f"resume with `chromatune resume {folder}`"
    assert said == f"error: grid-1 is not running: it is stopped; {resume}"


def test_a_launch_that_ends_meanwhile_has_nothing_to_resume(
    make_launch: MakeLaunch, storage_path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def finish() -> None:
        for name in NAMES:
            for epoch in (2, 4):
                leave_cell(storage, name, f"{name}-e{epoch}")

    storage = make_launch()
    with running(storage, monkeypatch, finish):
        assert run("stop", "--storage-path", storage_path).out == "grid-1 is finished\n"
    assert "is finished" in refusal("stop", "--storage-path", storage_path)


def test_before_training_the_launch_is_removed(
    make_launch: MakeLaunch, storage_path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    storage = make_launch()
    with running(storage, monkeypatch, storage.delete):
        stopped = run("stop", "--storage-path", storage_path)
    assert "the launch was removed" in stopped.out


def test_one_that_does_not_stop_in_time_is_exit_status_1(
    make_launch: MakeLaunch, storage_path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    storage, ends = make_launch(), threading.Event()
    with running(storage, monkeypatch, lambda: ends.wait(60) and None):
        waited = run("stop", "--storage-path", storage_path, "--timeout-s", "0.3")
        ends.set()
    assert waited.status == 1
    assert "still stops" in waited.out
    storage.write_json("owner.json", {})
    assert "owner.json is damaged" in refusal("stop", "--storage-path", storage_path)
