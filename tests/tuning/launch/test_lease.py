"""Processes that want the same launch, on a local disk and in a bucket."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from tuning.errors import ChromatuneError
from tuning.launch import lease
from tuning.launch.folder import Launch
from tuning.launch.lease import OWNER, STOP, leased, read_owner, request_stop
from tuning.launch.storage import LaunchStorage

THIS_PROCESS = f"process {os.getpid()} on {socket.gethostname()} (last heartbeat 0 s ago)"


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease, "_HEARTBEAT_S", 0.1)
    monkeypatch.setattr(lease, "_SETTLE_S", 0.1)


def write_owner(storage: LaunchStorage, silent_s: float = 0.0, **differences: Any) -> None:
    """An owner on another machine, if `differences` do not say otherwise."""
    owner = {"host": "elsewhere", "pid": 1, "machine": "another boot", "started": "1"}
    owner |= {"token": "0123", "heartbeat": time.time() - silent_s, **differences}
    storage.write_json(OWNER, owner)


def test_a_second_process_is_refused_until_the_owner_ends(any_storage: LaunchStorage) -> None:
    with leased(any_storage) as first, leased(any_storage) as second, leased(any_storage) as third:
        assert (first, second, third) == ("", THIS_PROCESS, THIS_PROCESS)
    assert any_storage.list_dir() == []
    launch = Launch(any_storage, {"launch_id": "launch-1", "tracking_uri": ""})
    refusal = re.escape(f"launch-1 is in use by {THIS_PROCESS}: wait until")
    with launch.held(), pytest.raises(ChromatuneError, match=refusal), launch.held():
        pytest.fail("held twice")


def test_only_one_of_many_at_once_gets_a_local_launch(tmp_path: Path) -> None:
    answers: list[str] = []
    start = threading.Barrier(10)

    def contend() -> None:
        start.wait()
        with leased(LaunchStorage(tmp_path)) as other:
            answers.append(other)
            while len(answers) < 10:
                time.sleep(0.01)

    threads = [threading.Thread(target=contend, daemon=True) for _ in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert (len(answers), answers.count("")) == (10, 1)


@pytest.mark.parametrize("any_storage", ["remote"], indirect=True)
def test_of_two_that_write_to_a_bucket_at_once_the_last_owns_the_launch(
    any_storage: LaunchStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lease.time, "sleep", lambda _: write_owner(any_storage))
    with leased(any_storage) as other:
        assert "process 1 on elsewhere" in other


def test_the_launch_of_a_killed_process_is_free_at_once(tmp_path: Path) -> None:
    program = f"""
from tuning.launch.lease import leased
from tuning.launch.storage import LaunchStorage
with leased(LaunchStorage({str(tmp_path)!r})) as other:
    print(repr(other), flush=True)
    input()
"""
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    root = Path(__file__).parents[3]
    with subprocess.Popen([sys.executable, "-c", program], cwd=root, **pipes) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "''\n"
        storage = LaunchStorage(tmp_path)
        with leased(storage) as other:
            assert other.startswith(f"process {process.pid} on ")
        process.kill()
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)  # dead, and still a zombie
        with leased(storage) as other:
            assert other == ""


@pytest.mark.parametrize(
    ("differences", "lives"),
    [
        ({}, True),
        ({"silent_s": 90}, True),
        ({"silent_s": 600}, False),
        ({"host": "the same host", "machine": lease._machine(), "pid": 2**22 + 1}, False),
        ({"machine": lease._machine(), "pid": os.getpid()}, False),
        ({"pid": "no number"}, True),
        ({"host": "\x1b[2J"}, True),
    ],
    ids=["elsewhere", "quiet", "silent", "gone", "another start", "damaged", "control characters"],
)
def test_dead_owners_are_replaced_and_others_only_on_request(
    any_storage: LaunchStorage, differences: dict[str, Any], lives: bool
) -> None:
    write_owner(any_storage, **differences)
    with leased(any_storage) as other:
        assert bool(other) is lives
        assert other.isprintable()
    write_owner(any_storage, **differences)
    with leased(any_storage, take_over=True) as other:
        assert other == ""
    assert any_storage.list_dir() == []


def test_an_owner_elsewhere_whose_clock_is_slow_is_heard(any_storage: LaunchStorage) -> None:
    write_owner(any_storage, silent_s=600)
    beat = threading.Timer(0.05, write_owner, [any_storage], {"silent_s": 599})
    beat.start()
    with leased(any_storage) as other:
        assert "process 1 on elsewhere" in other
    beat.join()


def test_the_heartbeat_is_renewed(any_storage: LaunchStorage) -> None:
    with leased(any_storage):
        before = read_owner(any_storage)
        ends = time.monotonic() + 30
        while read_owner(any_storage) == before and time.monotonic() < ends:
            time.sleep(0.02)
        after = read_owner(any_storage)
        assert before is not None
        assert after is not None
        assert after.heartbeat > before.heartbeat


@pytest.mark.parametrize("has_ended", [False, True])
def test_a_process_that_lost_its_launch_is_interrupted(
    any_storage: LaunchStorage, has_ended: bool
) -> None:
    def lose() -> None:
        with leased(any_storage):
            write_owner(any_storage)
            if has_ended:
                any_storage.delete(OWNER)
            time.sleep(30)

    # Ctrl-C is ignored where tests run in the background of a shell.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            lose()
    finally:
        signal.signal(signal.SIGINT, before)
    assert any_storage.exists(OWNER) is not has_ended


def test_an_owner_that_is_asked_to_stop_is_interrupted_once(any_storage: LaunchStorage) -> None:
    interrupts = []
    before = signal.signal(signal.SIGINT, lambda *_: interrupts.append(time.monotonic()))
    try:
        with leased(any_storage):
            owner = read_owner(any_storage)
            assert owner is not None
            earlier = owner.model_copy(update={"token": "of another owner before"})
            for request in (earlier, owner):
                assert not interrupts
                request_stop(any_storage, request)
                time.sleep(0.5)  # several times the interval at which it listens
            assert len(interrupts) == 1
        assert any_storage.list_dir() == []
    finally:
        signal.signal(signal.SIGINT, before)


def test_a_request_is_not_lost_while_ctrl_c_is_ignored(tmp_path: Path) -> None:
    storage = LaunchStorage(tmp_path)
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with contextlib.suppress(KeyboardInterrupt), leased(storage):
            owner = read_owner(storage)
            assert owner is not None
            request_stop(storage, owner)
            time.sleep(0.3)
            signal.signal(signal.SIGINT, signal.default_int_handler)
            time.sleep(30)
            pytest.fail("was not interrupted")
    finally:
        signal.signal(signal.SIGINT, before)
    assert not storage.exists(STOP)
