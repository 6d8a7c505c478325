"""Launch folders on both kinds of storage."""

from __future__ import annotations

from pathlib import Path

import pyarrow.fs
import pytest

from tuning.launch.storage import LaunchStorage


@pytest.fixture(params=["local", "remote"])
def any_storage(request: pytest.FixtureRequest, tmp_path: Path) -> LaunchStorage:
    """A launch folder; a SubTreeFileSystem stands in for a bucket, whose paths are no files."""
    (tmp_path / "launch-1").mkdir()
    if request.param == "local":
        return LaunchStorage(tmp_path / "launch-1")
    bucket = pyarrow.fs.SubTreeFileSystem(str(tmp_path), pyarrow.fs.LocalFileSystem())
    return LaunchStorage("launch-1", bucket)
