"""A dataset, a launch on it that has not run, and a canary that dies if a pickle is loaded."""

from __future__ import annotations

import dataclasses
import os
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from data_prep import PreparedDataset, PrepareSettings, prepare
from tuning.config.schema import DataConfig, GridConfig, GridLaunchConfig, TrainingConfig
from tuning.launch.folder import Launch, create_launch
from tuning.launch.trainings import grid_trainings

PICTURES = PrepareSettings(dataset="synthetic-faces", size=64, count=20, augment=1)
GRID = GridConfig(models=["cnn1"], heads=["relu"], lrs=[1e-3], epochs=[2])


class _Explosive:
    def __init__(self, canary: Path) -> None:
        self._canary = canary

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self._canary),)


@dataclasses.dataclass(frozen=True)
class Canary:
    """Unpickling `bomb` creates the folder `path`."""

    path: Path

    @property
    def bomb(self) -> bytes:
        return pickle.dumps(_Explosive(self.path))

    @property
    def lives(self) -> bool:
        return not self.path.exists()


@pytest.fixture
def canary(tmp_path: Path) -> Canary:
    """A canary whose bomb is known to work."""
    test = Canary(tmp_path / "tested")
    pickle.loads(test.bomb)
    assert not test.lives
    return Canary(tmp_path / "the canary is dead")


@pytest.fixture(scope="session")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> PreparedDataset:
    return prepare(PICTURES, tmp_path_factory.mktemp("data")).dataset


@pytest.fixture
def dataset_copy(prepared: PreparedDataset, tmp_path: Path) -> Path:
    """A prepared dataset to damage."""
    return Path(shutil.copytree(prepared.folder, tmp_path / prepared.folder.name))


@pytest.fixture(scope="session")
def begin(prepared: PreparedDataset) -> Callable[..., Launch]:
    """Create the launch of a grid that does not run."""

    def make(folder: Path, **changes: Any) -> Launch:
        config = GridLaunchConfig(
            data=DataConfig(
                dataset=PICTURES.dataset,
                root=prepared.folder.parent,
                size=PICTURES.size,
                augment=PICTURES.augment,
                count=PICTURES.count,
            ),
            training=TrainingConfig(batch_size=10),
            grid=GRID,
            storage_path=str(folder / "ray_results"),
        )
        return create_launch(
            *("grid", "regression", config, prepared),
            grid_trainings("regression", GRID, config.training, PICTURES.size),
            baseline={"val_mse": 0.1},
            **{"tracking_uri": f"sqlite:///{folder}/mlruns/mlflow.db", **changes},
        )

    return make


@pytest.fixture
def launch(begin: Callable[..., Launch], tmp_path: Path) -> Launch:
    return begin(tmp_path)
