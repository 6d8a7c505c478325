"""The launch folder on a local disk and on storage that pyarrow reaches."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tuning.errors import ChromatuneError
from tuning.launch.storage import LaunchStorage


def test_what_is_written_is_read_back(any_storage: LaunchStorage, tmp_path: Path) -> None:
    value = {"lr": 1e-3, "name": "ä", "cells": [1, 2]}
    any_storage.write_json("value.json", value)
    assert any_storage.read_json("value.json") == value
    any_storage.write_json("value.json", {})
    assert any_storage.read_json("value.json") == {}
    assert any_storage.list_dir() == ["value.json"]
    assert any_storage.name == "launch-1"
    copy = any_storage.download("value.json", tmp_path / "copy")
    assert copy.read_text() == "{}"
    assert any_storage.list_dir("cells") == []
    assert not any_storage.exists("cells")


def test_missing_and_broken_files_are_named(any_storage: LaunchStorage, tmp_path: Path) -> None:
    with pytest.raises(ChromatuneError, match=r"launch-1/value\.json is missing"):
        any_storage.read_json("value.json")
    with pytest.raises(ChromatuneError, match=r"launch-1/model is missing"):
        any_storage.download("model", tmp_path / "model")
    (tmp_path / "half").write_text('{"a": ')
    any_storage.upload_file(tmp_path / "half", "value.json")
    with pytest.raises(ChromatuneError, match=r"launch-1/value\.json is not valid JSON"):
        any_storage.read_json("value.json")


def test_delete_removes_the_folder_and_bears_repetition(any_storage: LaunchStorage) -> None:
    any_storage.write_json("value.json", 1)
    any_storage.delete()
    any_storage.delete()
    assert not any_storage.exists()


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
    assert storage.read_json("value.json") == "old"
    assert storage.list_dir() == ["value.json"]


def test_uris_are_taken(tmp_path: Path) -> None:
    LaunchStorage(f"file://{tmp_path}/launch").write_json("value.json", 7)
    assert LaunchStorage(tmp_path / "launch").read_json("value.json") == 7


def test_of_two_that_create_a_file_one_succeeds(any_storage: LaunchStorage) -> None:
    assert any_storage.write_json("value.json", 1, if_absent=True)
    assert not any_storage.write_json("value.json", 2, if_absent=True)
    assert any_storage.read_json("value.json") == 1
    assert any_storage.list_dir() == ["value.json"]


def test_a_local_folder_needs_no_pyarrow(tmp_path: Path) -> None:
    program = f"""
import sys
sys.modules["pyarrow"] = None
from tuning.launch.folder import list_launches
from tuning.launch.storage import LaunchStorage
LaunchStorage({str(tmp_path)!r}).write_json("launch-1/launch.json", {{}})
assert list_launches({str(tmp_path)!r}) == []
"""
    subprocess.run([sys.executable, "-c", program], check=True, cwd=Path(__file__).parents[3])
