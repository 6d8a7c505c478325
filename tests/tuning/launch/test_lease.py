"""Two processes on one folder of a bucket, which a folder on disk with no locks stands for here."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pyarrow.fs
import pytest

from tuning.errors import ChromatuneError
from tuning.launch import lease
from tuning.launch.folder import Launch
from tuning.launch.lease import leased
from tuning.launch.storage import LaunchStorage

FOLDER = "launch-1"
ELSEWHERE = json.dumps(
    {"hostname": "elsewhere", "pid": 1, "machine": "another boot", "started": "1"}
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / FOLDER).mkdir()
    return tmp_path / FOLDER


@pytest.fixture
def bucket(folder: Path) -> pyarrow.fs.FileSystem:
    return pyarrow.fs.SubTreeFileSystem(str(folder.parent), pyarrow.fs.LocalFileSystem())


def test_another_is_told_who_holds_it_and_gets_it_afterwards(
    bucket: pyarrow.fs.FileSystem, folder: Path
) -> None:
    with leased(bucket, FOLDER) as first:
        assert first == ""
        with leased(bucket, FOLDER) as second:
            assert f"process {os.getpid()} on {socket.gethostname()}, seen 0 s ago" in second
        with leased(bucket, FOLDER) as third:
            assert third
    with leased(bucket, FOLDER) as afterwards:
        assert afterwards == ""
    assert not list(folder.iterdir())


def test_a_launch_in_a_bucket_is_refused_to_a_second_process(
    bucket: pyarrow.fs.FileSystem, folder: Path
) -> None:
    launch = Launch(LaunchStorage(FOLDER, bucket), {"launch_id": FOLDER})
    with (
        launch.held(),
        pytest.raises(ChromatuneError, match=r"process \d+ on .*, is at work on launch-1: wait"),
        launch.held(),
    ):
        pytest.fail("held twice")
    assert not list(folder.iterdir())


def test_of_many_at_once_one_gets_it(bucket: pyarrow.fs.FileSystem) -> None:
    told: list[str] = []
    start = threading.Barrier(10)

    def contend() -> None:
        start.wait()
        with leased(bucket, FOLDER) as holder:
            told.append(holder)
            while len(told) < 10:
                time.sleep(0.01)

    threads = [threading.Thread(target=contend) for _ in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(holder == "" for holder in told) == 1


def test_a_holder_that_was_killed_here_is_followed_at_once(
    bucket: pyarrow.fs.FileSystem, folder: Path
) -> None:
    program = f"""
import pyarrow.fs
from tuning.launch.lease import leased
bucket = pyarrow.fs.SubTreeFileSystem({str(folder.parent)!r}, pyarrow.fs.LocalFileSystem())
with leased(bucket, {FOLDER!r}) as holder:
    print(repr(holder), flush=True)
    input()
"""
    with subprocess.Popen(
        [sys.executable, "-c", program],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[3],
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "''\n"
        with leased(bucket, FOLDER) as holder:
            assert f"process {process.pid} on" in holder
        process.kill()
        process.wait()
    assert list(folder.iterdir())
    with leased(bucket, FOLDER) as holder:
        assert holder == ""
    assert not list(folder.iterdir())


@pytest.mark.parametrize(("silent_s", "lives"), [(60, True), (100, False)])
def test_a_holder_elsewhere_counts_as_dead_after_a_while(
    bucket: pyarrow.fs.FileSystem, folder: Path, silent_s: float, lives: bool
) -> None:
    for kind, age_s in (("claim", 5000), ("held", silent_s)):
        path = folder / f".lease.0123.{kind}"
        path.write_text(ELSEWHERE)
        os.utime(path, (time.time() - age_s,) * 2)
    with leased(bucket, FOLDER) as holder:
        assert ("process 1 on elsewhere, seen 60 s ago" in holder) is lives
    assert bool(list(folder.iterdir())) is lives


def test_who_only_asks_later_does_not_stand_in_the_way(
    bucket: pyarrow.fs.FileSystem, folder: Path
) -> None:
    later = folder / ".lease.0123.claim"
    later.write_text(ELSEWHERE)
    os.utime(later, (time.time() + 30,) * 2)
    with leased(bucket, FOLDER) as holder:
        assert holder == ""


def test_a_claim_that_cannot_be_read_is_respected(
    bucket: pyarrow.fs.FileSystem, folder: Path
) -> None:
    for kind in ("claim", "held"):
        (folder / f".lease.0123.{kind}").write_text("[]")
    with leased(bucket, FOLDER) as holder:
        assert holder.startswith("another process")


def test_the_holder_gives_signs_of_life(
    bucket: pyarrow.fs.FileSystem, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lease, "_RENEWED_EVERY_S", 0.05)
    with leased(bucket, FOLDER):
        (held,) = folder.glob("*.held")
        os.utime(held, (0, 0))
        ends = time.monotonic() + 30
        while held.stat().st_mtime == 0 and time.monotonic() < ends:
            time.sleep(0.02)
        assert held.stat().st_mtime > 0


def test_a_number_that_another_process_has_now_is_not_the_killed_one(
    bucket: pyarrow.fs.FileSystem, folder: Path
) -> None:
    with leased(bucket, FOLDER):
        (held,) = folder.glob("*.held")
        told = json.loads(held.read_text())
    assert int(told["started"]) > 0
    for kind in ("claim", "held"):
        text = json.dumps({**told, "started": str(int(told["started"]) - 1)})
        (folder / f".lease.0123.{kind}").write_text(text)
    with leased(bucket, FOLDER) as holder:
        assert holder == ""


def test_a_holder_of_the_same_name_in_another_container_lives(
    bucket: pyarrow.fs.FileSystem, folder: Path
) -> None:
    told = {"hostname": socket.gethostname(), "pid": 10**7, "started": "1"}
    for kind in ("claim", "held"):
        text = json.dumps({**told, "machine": "the same boot, other processes"})
        (folder / f".lease.0123.{kind}").write_text(text)
    with leased(bucket, FOLDER) as holder:
        assert f"process {10**7} on {socket.gethostname()}" in holder


def test_who_was_away_for_long_stops_where_another_has_taken_over(
    bucket: pyarrow.fs.FileSystem, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lease, "_RENEWED_EVERY_S", 0.05)

    def is_taken_over() -> None:
        with leased(bucket, FOLDER):
            for path in folder.glob(".lease.*"):
                path.unlink()
            for kind in ("claim", "held"):
                (folder / f".lease.0123.{kind}").write_text(ELSEWHERE)
            time.sleep(30)

    # Where tests run in the background of a shell, Ctrl-C is ignored.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            is_taken_over()
    finally:
        signal.signal(signal.SIGINT, before)
    assert {path.name for path in folder.iterdir()} == {".lease.0123.claim", ".lease.0123.held"}


def test_a_folder_that_is_cleared_away_meanwhile_is_not_held(
    bucket: pyarrow.fs.FileSystem, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def clear(_: float) -> None:
        for path in folder.iterdir():
            path.unlink()

    monkeypatch.setattr(lease.time, "sleep", clear)
    with leased(bucket, FOLDER) as holder:
        assert holder == "another process"
