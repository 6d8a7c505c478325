"""Launch folders that no process has trained in."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.fs
import pytest

from tuning.launch.storage import LaunchStorage, _RemoteStorage
from tuning.launch.trainings import make_training
from tuning.training.config import FitConfig

MakeLaunch = Callable[..., LaunchStorage]
LRS = (1e-3, 1e-4)


@pytest.fixture
def storage_path(tmp_path: Path) -> str:
    return str(tmp_path / "ray_results")


@pytest.fixture
def make_launch(storage_path: str) -> MakeLaunch:
    """A function that writes down a grid of two trainings with two cells each; `changes` may be
    any keys of its document.
    """

    def make(launch_id: str = "grid-1", **changes: Any) -> LaunchStorage:
        storage = LaunchStorage(f"{storage_path}/{launch_id}")
        trainings = [make_training(FitConfig("cnn1", "relu", lr, milestones=(2, 4))) for lr in LRS]
        document = {
            **{"format": 1, "launch_id": launch_id, "kind": "grid", "task": "regression"},
            **{"dataset": "faces", "dataset_digest": "d" * 64, "created": 0, "config": {}},
            **{"experiment": "faces-regression-grid", "tracking_uri": "", "baseline": {}},
            **{"parent_model": None, "trainings": [one.to_dict() for one in trainings], **changes},
        }
        storage.create()
        storage.write_json("launch.json", document)
        return storage

    return make


@pytest.fixture
def as_bucket(storage_path: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """The URI of a bucket in which the launches under `storage_path` lie."""
    disk = pyarrow.fs.SubTreeFileSystem(storage_path, pyarrow.fs.LocalFileSystem())

    def open_bucket(self: Any, _: Any) -> str:
        self._api, self._fs = pyarrow.fs, disk
        return str(self.uri.removeprefix("s3://bucket").lstrip("/"))

    monkeypatch.setattr(_RemoteStorage, "_open", open_bucket)
    return "s3://bucket"
