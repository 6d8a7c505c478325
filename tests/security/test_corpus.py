"""Broken files as they occur in practice: each reader rejects them with a one-line error.

`corpus` holds them by reader; a file's name says what is wrong with it.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from data_prep import DataError, open_dataset
from data_prep.decode import UnusableError, decode_rgb
from models import ModelError, load_model
from tuning.config.schema import GridLaunchConfig, TrainingConfig, read_yaml, resolve
from tuning.config.search import read_points
from tuning.errors import ChromatuneError
from tuning.launch.folder import open_launch
from tuning.launch.open_dataset import prepare_settings
from tuning.launch.trainings import grid_trainings
from tuning.search.space_file import read_space

CORPUS = Path(__file__).parent / "corpus"
CLEAR = (ChromatuneError, DataError, ModelError, UnusableError)
AXES: dict[str, Any] = {"grid": {"models": ["cnn1"], "heads": ["relu"]}}


def read_configuration(path: Path) -> None:
    config = resolve(GridLaunchConfig, defaults=AXES, file=path)
    prepare_settings(config.data)
    grid_trainings("regression", config.grid, config.training, config.data.size)


READERS: dict[str, Callable[[Path], object]] = {
    "pictures": lambda path: decode_rgb(path.read_bytes()),
    "configurations": read_configuration,
    "spaces": lambda path: read_space("regression", read_yaml(path), TrainingConfig(), 64),
    "points": read_points,
    "models": load_model,
    "manifests": lambda path: open_dataset(path.parent),
    "launches": lambda path: open_launch(str(path.parent), ""),
}
# What the file is called where its reader looks for it.
NAMES = {"manifests": "manifest.json", "launches": "launch.json"}


@pytest.mark.filterwarnings("ignore")  # Pillow's, about files that it then rejects
@pytest.mark.parametrize(
    ("reader", "broken"),
    [(reader, path.name) for reader in READERS for path in sorted((CORPUS / reader).iterdir())],
)
def test_broken_files(reader: str, broken: str, dataset_copy: Path, tmp_path: Path) -> None:
    folder = dataset_copy if reader == "manifests" else tmp_path
    path = Path(shutil.copyfile(CORPUS / reader / broken, folder / NAMES.get(reader, broken)))
    with pytest.raises(CLEAR) as caught:
        READERS[reader](path)
    message = str(caught.value)
    assert message.strip()
    assert "\n" not in message
    assert "Traceback" not in message
