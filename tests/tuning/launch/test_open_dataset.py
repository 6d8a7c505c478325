"""Which prepared pictures a configuration means."""

from __future__ import annotations

from pathlib import Path

import pytest

from data_prep import DataError, PrepareSettings, dataset_folder, prepare
from tuning.config.schema import DataConfig
from tuning.errors import ChromatuneError
from tuning.launch.open_dataset import open_prepared, prepare_settings

NAME = "synthetic-faces"
SMALL = {"size": 32, "count": 12, "augment": 1}


def prepared(root: Path, **settings: object) -> Path:
    """Prepare drawn pictures, few and small unless told otherwise."""
    wanted = PrepareSettings(dataset=NAME, **{**SMALL, **settings})  # type: ignore[arg-type]
    return prepare(wanted, root).dataset.folder


def test_a_configured_preparation_is_opened(tmp_path: Path) -> None:
    folder = prepared(tmp_path)
    prepared(tmp_path, seed=1)
    opened = open_prepared(DataConfig(dataset=NAME, root=tmp_path, **SMALL))
    assert opened.folder == folder


def test_drawn_pictures_are_made_on_the_spot(tmp_path: Path) -> None:
    data = DataConfig(dataset=NAME, root=tmp_path, **SMALL)
    made = open_prepared(data)
    assert made.folder == dataset_folder(prepare_settings(data), tmp_path)
    assert made.size == 32
    assert sum(len(made.planes(split).L) for split in ("train", "val", "test")) == 12
    assert open_prepared(data).digest == made.digest


def test_real_pictures_are_not_made_but_asked_for(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="chromatune prepare faces"):
        open_prepared(DataConfig(dataset="faces", root=tmp_path))
    assert list(tmp_path.iterdir()) == []


def test_a_name_alone_means_the_only_preparation(tmp_path: Path) -> None:
    folder = prepared(tmp_path)
    fruits = PrepareSettings(dataset="synthetic-fruits", **SMALL)  # type: ignore[arg-type]
    prepare(fruits, tmp_path)
    (prepared(tmp_path, seed=1) / "manifest.json").unlink()  # half made
    assert open_prepared(DataConfig(dataset=NAME, root=tmp_path)).folder == folder


def test_a_name_alone_prefers_the_default_settings(tmp_path: Path) -> None:
    prepared(tmp_path).rename(tmp_path / "faces-32px-random-x1-seed0")
    default = dataset_folder(PrepareSettings(dataset="faces"), tmp_path)
    prepared(tmp_path, seed=1).rename(default)
    assert open_prepared(DataConfig(dataset="faces", root=tmp_path)).folder == default


def test_a_name_alone_is_not_enough_for_several_preparations(tmp_path: Path) -> None:
    folders = [prepared(tmp_path), prepared(tmp_path, seed=1)]
    with pytest.raises(ChromatuneError) as caught:
        open_prepared(DataConfig(dataset=NAME, root=tmp_path))
    message = str(caught.value)
    assert all(folder.name in message for folder in folders)
    assert "--data-seed" in message
    assert "\n" not in message


def test_what_is_configured_is_never_replaced_by_another_preparation(tmp_path: Path) -> None:
    prepared(tmp_path)
    wanted = {**SMALL, "seed": 2}
    opened = open_prepared(DataConfig(dataset=NAME, root=tmp_path, **wanted))
    assert opened.folder.name.endswith("seed2-n12")
