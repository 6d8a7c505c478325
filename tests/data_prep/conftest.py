"""Files for the tests of data_prep."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.data_prep.builders import zipped


@pytest.fixture
def folder_of(tmp_path: Path) -> Callable[[dict[str, bytes]], Path]:
    """Write files by relative name into a new folder."""

    def write(files: dict[str, bytes]) -> Path:
        for relative, data in files.items():
            path = tmp_path / "source" / relative
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        return tmp_path / "source"

    return write


@pytest.fixture
def zip_of(tmp_path: Path) -> Callable[[dict[str, bytes]], Path]:
    """Write files by relative name into a new zip."""

    def write(files: dict[str, bytes]) -> Path:
        (tmp_path / "source.zip").write_bytes(zipped(files))
        return tmp_path / "source.zip"

    return write
