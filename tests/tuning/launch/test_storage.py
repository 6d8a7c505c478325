"""The launch folder on a local disk and on storage that only pyarrow reaches."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pyarrow.fs
import pytest

from tuning.errors import ChromatuneError
from tuning.launch.storage import LaunchStorage


@pytest.fixture(params=["local", "remote"])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> LaunchStorage:
    """A launch folder; a SubTreeFileSystem stands for an object store, whose paths are no files."""
    if request.param == "local":
        return LaunchStorage(tmp_path / "launch-1")
    bucket = tmp_path / "bucket"
    bucket.mkdir()
    (bucket / "launch-1").mkdir()
    filesystem = pyarrow.fs.SubTreeFileSystem(str(bucket), pyarrow.fs.LocalFileSystem())
    return LaunchStorage("launch-1", filesystem)


def test_what_is_written_is_read_back(storage: LaunchStorage) -> None:
    value = {"lr": 1e-3, "name": "ä", "cells": [1, 2]}
    storage.write_json("value.json", value)
    assert storage.read_json("value.json") == value
    storage.write_json("value.json", {})
    assert storage.read_json("value.json") == {}
    assert storage.list_dir() == ["value.json"]
    assert storage.name == "launch-1"


def test_missing_and_broken_files_are_named(storage: LaunchStorage, tmp_path: Path) -> None:
    with pytest.raises(ChromatuneError, match=r"launch-1/value\.json is missing"):
        storage.read_json("value.json")
    with pytest.raises(ChromatuneError, match=r"launch-1/model is missing"):
        storage.download("model", tmp_path / "model")
    (tmp_path / "half").write_text('{"a": ')
    storage.upload_file(tmp_path / "half", "value.json")
    with pytest.raises(ChromatuneError, match=r"launch-1/value\.json is not valid JSON"):
        storage.read_json("value.json")


def test_listing_what_is_not_there_is_empty(storage: LaunchStorage) -> None:
    assert storage.list_dir("cells") == []
    assert not storage.exists("cells")


def test_download_returns_the_bytes(storage: LaunchStorage, tmp_path: Path) -> None:
    (tmp_path / "source").write_bytes(bytes(range(256)))
    storage.upload_file(tmp_path / "source", "weights")
    assert storage.download("weights", tmp_path / "copy").read_bytes() == bytes(range(256))


def test_delete_removes_the_folder_and_bears_repetition(storage: LaunchStorage) -> None:
    storage.write_json("value.json", 1)
    storage.delete()
    storage.delete()
    assert not storage.exists()


def test_the_file_that_tells_completeness_comes_last(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = tmp_path / "cell"
    source.mkdir()
    for name in ("cell.json", "a.safetensors", "sheet.png"):
        (source / name).write_text(name)
    order: list[str] = []
    storage = LaunchStorage(tmp_path / "launch")
    upload = storage.upload_file

    def note(local: Path, path: str) -> None:
        order.append(path)
        upload(local, path)

    monkeypatch.setattr(storage, "upload_file", note)
    storage.upload_dir(source, "t/cells/c", last="cell.json")
    assert order == ["t/cells/c/a.safetensors", "t/cells/c/sheet.png", "t/cells/c/cell.json"]
    assert storage.list_dir("t/cells/c") == ["a.safetensors", "cell.json", "sheet.png"]


def test_a_failed_write_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    storage = LaunchStorage(tmp_path / "launch")
    storage.write_json("value.json", "old")

    def full(_source: str, target: str) -> None:
        Path(target).write_text("ha")
        raise OSError("no space left on device")

    monkeypatch.setattr("shutil.copyfile", full)
    with pytest.raises(OSError, match="no space"):
        storage.write_json("value.json", "new")
    assert json.loads((tmp_path / "launch/value.json").read_text()) == "old"


def test_uris_are_taken(tmp_path: Path) -> None:
    LaunchStorage(f"file://{tmp_path}/launch").write_json("value.json", 7)
    assert LaunchStorage(tmp_path / "launch").read_json("value.json") == 7


def test_a_lock_keeps_others_out_until_it_ends(tmp_path: Path) -> None:
    storage = LaunchStorage(tmp_path)
    with storage.lock(".lock") as first, storage.lock(".lock") as second:
        assert not first
        assert second
    with storage.lock(".lock") as again:
        assert not again


def test_a_lock_ends_with_its_process(tmp_path: Path) -> None:
    program = f"""
from tuning.launch.storage import LaunchStorage
with LaunchStorage({str(tmp_path)!r}).lock(".lock") as held:
    print(repr(held), flush=True)
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
        with LaunchStorage(tmp_path).lock(".lock") as holder:
            assert holder
        process.kill()
        process.wait()
    with LaunchStorage(tmp_path).lock(".lock") as holder:
        assert not holder
