"""Files as broken as they come in life, each refused by its reader with one clear line.

`corpus` holds them by reader, named after what is wrong with them. Texts were written for it;
pictures and weights are made-up ones, cut or changed in the place that their name tells.
"""

from __future__ import annotations

import shutil
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from data_prep import DataError, PreparedDataset, open_dataset
from data_prep.decode import UnusableError, decode_rgb
from models import ModelError, load_model
from tuning.config.schema import GridLaunchConfig, TrainingConfig, read_yaml, resolve
from tuning.errors import ChromatuneError
from tuning.launch.datasets import prepare_settings
from tuning.launch.folder import Launch, open_launch
from tuning.launch.trainings import grid_trainings
from tuning.search.points import read_points
from tuning.search.space_file import read_space

CORPUS = Path(__file__).parent / "corpus"
CLEAR = (ChromatuneError, DataError, ModelError, UnusableError)
AXES: dict[str, Any] = {"grid": {"models": ["cnn1"], "heads": ["relu"]}}


def _named(reader: str) -> list[Any]:
    return [pytest.param(path, id=path.name) for path in sorted((CORPUS / reader).iterdir())]


@pytest.mark.parametrize("path", _named("pictures"))
def test_broken_pictures(path: Path) -> None:
    refused(lambda: decode_rgb(path.read_bytes()))


@pytest.mark.parametrize("path", _named("configurations"))
def test_broken_configurations(path: Path) -> None:
    def read() -> None:
        config = resolve(GridLaunchConfig, defaults=AXES, file=path)
        prepare_settings(config.data)
        grid_trainings("regression", config.grid, config.training, config.data.size)

    refused(read)


@pytest.mark.parametrize("path", _named("spaces"))
def test_broken_search_spaces(path: Path) -> None:
    refused(lambda: read_space("regression", read_yaml(path), TrainingConfig(), 64))


@pytest.mark.parametrize("path", _named("points"))
def test_broken_points(path: Path) -> None:
    refused(lambda: read_points(path))


@pytest.mark.parametrize("path", _named("models"))
def test_broken_models(path: Path) -> None:
    refused(lambda: load_model(path))


@pytest.mark.parametrize("path", _named("manifests"))
def test_broken_manifests(path: Path, prepared: PreparedDataset, tmp_path: Path) -> None:
    folder = tmp_path / prepared.folder.name
    shutil.copytree(prepared.folder, folder)
    shutil.copyfile(path, folder / "manifest.json")
    refused(lambda: open_dataset(folder))


@pytest.mark.parametrize("path", _named("launches"))
def test_broken_launches(path: Path, launch: Launch) -> None:
    shutil.copyfile(path, Path(launch.storage.uri) / "launch.json")
    refused(lambda: open_launch(launch.storage.uri, ""))


def refused(read: Callable[[], object]) -> None:
    """The reader raises one of its own errors, which says something and says it in one line."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow's, of what it then refuses
        with pytest.raises(CLEAR) as caught:
            read()
    told = str(caught.value)
    assert told.strip()
    assert "\n" not in told
    assert "Traceback" not in told
