"""Data in a bucket, and data of another node: copied to this machine's disk once, and checked."""

from __future__ import annotations

import json
import pickle
import shutil
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.fs
import pytest

from data_prep import DataError, PreparedDataset, PrepareSettings, prepare
from tests.commands import run
from tuning.backend import node_data
from tuning.config.schema import DataConfig
from tuning.errors import ChromatuneError
from tuning.launch.data_copies import copied, copies_folder
from tuning.launch.open_dataset import open_prepared, recorded, task_data
from tuning.launch.storage import _RemoteStorage
from tuning.workflows.prepare import run_prepare

NAME = "synthetic-faces"
BUCKET = "s3://bucket/data"


@pytest.fixture
def fetched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is copied out of the bucket, which is a folder `data`; copies get a place of their own.

    The list holds the files in their order.
    """
    monkeypatch.setenv("CHROMATUNE_CACHE", str(tmp_path / "cache"))
    disk = pyarrow.fs.SubTreeFileSystem(str(tmp_path), pyarrow.fs.LocalFileSystem())
    files: list[str] = []

    def open_bucket(self: Any, _: Any) -> str:
        self._api, self._fs = pyarrow.fs, disk
        return str(self.uri.removeprefix("s3://bucket").lstrip("/"))

    download = _RemoteStorage._get

    def get(self: Any, path: str, local: Path) -> None:
        files.append(path)
        download(self, path, local)

    monkeypatch.setattr(_RemoteStorage, "_open", open_bucket)
    monkeypatch.setattr(_RemoteStorage, "_get", get)
    return files


@pytest.fixture
def variants(tmp_path: Path) -> list[PreparedDataset]:
    settings = [PrepareSettings(NAME, size=32, augment=1, count=12, seed=seed) for seed in range(2)]
    return [prepare(each, tmp_path / "data").dataset for each in settings]


def arrays_of(files: list[str]) -> list[str]:
    return [name for name in files if name.endswith(".npy")]


def test_data_in_a_bucket_are_copied_once_and_train(
    variants: list[PreparedDataset], fetched: list[str], tmp_path: Path
) -> None:
    digest = variants[1].digest
    told: list[str] = []
    data = DataConfig(root=BUCKET, digest=digest[:10])  # type: ignore[arg-type]
    opened = open_prepared(data, told.append)
    assert (opened.digest, opened.folder.parent) == (digest, copies_folder())
    assert told == [f"using {BUCKET}/{variants[1].folder.name} (digest {digest[:12]})"]
    assert np.array_equal(opened.planes("val").L, variants[1].planes("val").L)
    assert len(arrays_of(fetched)) == 9
    # What a launch records finds it again, without another copy.
    stored = DataConfig(**recorded(data, opened).model_dump())
    assert (stored.root, stored.seed) == (BUCKET, 1)
    assert open_prepared(stored).folder == opened.folder
    assert len(arrays_of(fetched)) == 9
    # Another machine, which has no copy, gets it from the bucket.
    content = pickle.dumps(task_data(stored, opened, "regression"))
    shutil.rmtree(opened.folder)
    again = pickle.loads(content)
    assert np.array_equal(again.train.L, variants[1].planes("train").L)
    assert len(arrays_of(fetched)) == 18
    listed = run("datasets", "--data-root", BUCKET, "--format", "json")
    (table,) = json.loads(listed.out)["tables"]
    assert [row["digest"] for row in table["datasets"]] == [each.digest for each in variants]
    assert table["datasets"][1]["folder"] == f"{BUCKET}/{variants[1].folder.name}"
    words = ("grid", "regression", "--models", "fc", "--lrs", "1e-3", "--epochs", "1")
    done = run(*words, "--data-root", BUCKET, "--data", digest[:10], "--backend", "serial",
               "--storage-path", str(tmp_path / "launches"))  # fmt: skip
    assert done.status == 0, done.err
    assert len(arrays_of(fetched)) == 18


def test_what_a_bucket_lacks_is_said(variants: list[PreparedDataset], fetched: list[str]) -> None:
    for wanted, message in (
        ({"dataset": NAME}, f"{NAME} is prepared in several variants"),
        ({"dataset": "facs"}, f"no prepared dataset 'facs' in {BUCKET}; did you mean"),
        ({"dataset": "faces"}, f"no prepared dataset in {BUCKET}/faces-128px"),
        ({"dataset": NAME, "size": 64}, f"{BUCKET} has no {NAME}-64px"),
        ({"digest": "0000"}, "no prepared data with a digest that begins with '0000'"),
    ):
        with pytest.raises((ChromatuneError, DataError), match=message):
            open_prepared(DataConfig(root=BUCKET, **wanted))  # type: ignore[arg-type]
    config = DataConfig(dataset=NAME, root=BUCKET)  # type: ignore[arg-type]
    with pytest.raises(ChromatuneError, match=f"cannot prepare in {BUCKET}"):
        run_prepare(config, None, overwrite=False)
    assert arrays_of(fetched) == []
    # A copy that differs from its manifest is not used, and leaves nothing.
    path = variants[0].folder / "val/a.npy"
    path.write_bytes(path.read_bytes()[:-1] + b"\x00")
    data = DataConfig(root=BUCKET, digest=variants[0].digest)  # type: ignore[arg-type]
    with pytest.raises(DataError, match=r"val/a\.npy differs"):
        open_prepared(data)
    assert not [each for each in copies_folder().iterdir() if each.is_dir()]


@pytest.mark.usefixtures("fetched")
def test_processes_of_a_node_share_one_copy(variants: list[PreparedDataset]) -> None:
    calls: list[Path] = []

    def fetch(target: Path) -> None:
        calls.append(target)
        shutil.copytree(variants[0].folder, target, dirs_exist_ok=True)

    folders: list[Path] = []
    threads = [
        threading.Thread(target=lambda: folders.append(copied(variants[0].digest, fetch)))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(calls) == 1
    assert len(set(folders)) == 1
    with pytest.raises(DataError, match="other data arrived"):
        copied(variants[1].digest, fetch)


class _Ray:
    """Runs tasks of the driver's node in this process."""

    exceptions = node_data.ray.exceptions

    def __init__(self) -> None:
        self.nodes: list[str] = []

    def remote(self, function: Callable[..., Any]) -> Any:
        ray = self

        class Task:
            def options(self, *, num_cpus: int, scheduling_strategy: Any) -> Any:
                assert num_cpus == 0
                ray.nodes.append(scheduling_strategy.node_id)
                return self

            def remote(self, *arguments: Any) -> Any:
                return function(*arguments)

        return Task()

    def get(self, value: Any) -> Any:
        return value


@pytest.mark.usefixtures("fetched")
def test_a_node_that_sees_the_folder_maps_it_and_another_copies_it(
    variants: list[PreparedDataset], monkeypatch: pytest.MonkeyPatch
) -> None:
    ray = _Ray()
    monkeypatch.setattr(node_data, "ray", ray)
    monkeypatch.setattr(node_data, "_PIECE", 1000)  # every file in several pieces
    node = "ab" * 28
    folder, digest = variants[0].folder, variants[0].digest
    origin = node_data.NodeOrigin(str(folder), digest, node)
    assert origin.folder() == folder
    assert ray.nodes == []
    # The node has other data at the path; the driver's node answers for its own.
    sizes = node_data._sizes(str(folder), digest)
    monkeypatch.setattr(node_data, "_sizes", lambda *_: sizes)
    monkeypatch.setattr(node_data, "stored_digest", lambda _: None)
    copy = origin.folder()
    assert copy.parent == copies_folder()
    assert set(ray.nodes) == {node}
    for name in sizes:
        assert (copy / name).read_bytes() == (folder / name).read_bytes()
