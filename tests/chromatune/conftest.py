"""A folder to work in, where functions find and put everything by default."""

from __future__ import annotations

from pathlib import Path

import pytest

import chromatune

NAME = "synthetic-fruits"


@pytest.fixture(scope="session")
def data_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("data")
    chromatune.prepare(NAME, size=32, count=40, augment=1, data_root=root)
    return root


@pytest.fixture
def here(tmp_path: Path, data_root: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "data").symlink_to(data_root)
    monkeypatch.chdir(tmp_path)
    return tmp_path
