"""Champions without training, and the commands that use them."""

from __future__ import annotations

import contextlib
import functools
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException
from PIL import Image

from models import create_model, save_model
from tests.tuning.tracking.conftest import paint
from tuning.tracking.logged_model import open_cell_model, store_files
from tuning.tracking.registry.catalog import Measured

Promote = Callable[..., ModelVersion]


def _promote(
    store: str,
    folder: Path,
    name: str,
    paints: tuple[float, float],
    *,
    champion: bool = True,
    constant: float | None = None,
    **figures: float,
) -> ModelVersion:
    """Register a model under `name` that predicts one colour, (a, b) in [0, 1], everywhere."""
    client = MlflowClient(store, store)
    dataset, _, task = name.rpartition("-")
    model = create_model("cnn1" if task == "regression" else "autoencoder", image_size=64)
    paint(model, paints)
    save_model(model, folder / "model.safetensors")
    with contextlib.suppress(MlflowException):  # they are there already
        client.create_experiment(name, (folder / "artifacts" / name).as_uri())
        client.create_registered_model(name)
    experiment = client.get_experiment_by_name(name)
    run = client.create_run(experiment.experiment_id)
    model = open_cell_model(
        client,
        experiment_id=experiment.experiment_id,
        run_id=run.info.run_id,
        task=task,
        name=name,
        step=1,
        params={},
        tags={"chromatune.dataset": dataset, "chromatune.task": task},
    )
    store_files(client, model, run.info.run_id, task, folder / "model.safetensors")
    measured = Measured(
        test_metrics={key: value for key, value in figures.items() if key.startswith("test_")},
        val_metrics={key: value for key, value in figures.items() if key.startswith("val_")},
        constant_metrics={"test_psnr": constant} if constant else {},
    )
    version = client.create_model_version(
        name,
        source=model.artifact_location,
        run_id=run.info.run_id,
        model_id=model.model_id,
        tags=measured.tags() if figures or constant else {},
    )
    if champion:
        client.set_registered_model_alias(name, "champion", version.version)
    return version


@pytest.fixture
def promote(store: str, tmp_path: Path) -> Promote:
    """Register a model in `store`: `promote("faces-colorizer", (0.5, 0.6), test_psnr=31.5)`."""
    return functools.partial(_promote, store, tmp_path)


@pytest.fixture(scope="session")
def champions(migrated_database: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A store that is only read: `faces`, twice, with a regressor, and `synthetic-fruits`."""
    folder = tmp_path_factory.mktemp("champions")
    shutil.copy(migrated_database, folder / "mlflow.db")
    store = f"sqlite:///{folder}/mlflow.db"
    _promote(store, folder, "faces-colorizer", (0.45, 0.6), champion=False)
    _promote(store, folder, "faces-colorizer", (0.52, 0.55), test_psnr=31.5)
    _promote(store, folder, "faces-regression", (0.54, 0.58))
    _promote(store, folder, "synthetic-fruits-colorizer", (0.5, 0.62))
    return store


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """A folder with a picture in colour, one in gray, and one in a subfolder."""
    folder = tmp_path / "pictures"
    (folder / "more").mkdir(parents=True)
    coarse = np.random.RandomState(0).randint(60, 200, (3, 3, 3)).astype(np.uint8)
    for name, size in (("colour.jpg", (60, 40)), ("gray.png", (50, 70)), ("more/x.png", (9, 9))):
        image = Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC)
        (image.convert("L") if name == "gray.png" else image).save(folder / name)
    return folder
