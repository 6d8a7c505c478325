"""The MLflow model of a cell: safe to store, small to write, loadable where the project is not."""

from __future__ import annotations

import pickletools
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from mlflow import MlflowClient

from models import create_model, load_model, save_model
from tuning.errors import ChromatuneError
from tuning.tracking.delivery import project_launch
from tuning.tracking.fetch_weights import load_logged_weights, load_registered
from tuning.tracking.pyfunc import ServingModel
from tuning.tracking.reader import finished_cells

MakeLaunch = Callable[..., Any]
TASKS = ["regression", "colorizer"]


@pytest.fixture
def planes() -> np.ndarray:
    """Two L planes that are not square and not of the network's size."""
    rng = np.random.default_rng(0)
    return rng.integers(0, 256, (2, 90, 70), dtype=np.uint8)


def log_one(make_launch: MakeLaunch, store: str, task: str) -> tuple[Any, Path, Path]:
    """Project a launch of one cell; return the cell, its model's folder and its weights."""
    launch = make_launch(task, epochs=[2])
    training = launch.training_ids()[0]
    cell_id = launch.finish_cell(training, 2)
    project_launch(launch.storage, store)
    (cell,) = finished_cells(store, launch.document["dataset_digest"], task)
    location = MlflowClient(store, store).get_logged_model(cell.model_id).artifact_location
    weights = launch.folder / training / "cells" / cell_id / "model.safetensors"
    return cell, Path(location.removeprefix("file://")), weights


def load_serving(weights: Path) -> ServingModel:
    class Context:
        artifacts = {"weights": str(weights)}  # noqa: RUF012

    model = ServingModel()
    model.load_context(Context())
    return model


@pytest.mark.parametrize("task", TASKS)
def test_the_stored_folder_holds_the_weights_once_and_no_pickle(
    make_launch: MakeLaunch, store: str, task: str
) -> None:
    _, folder, weights = log_one(make_launch, store, task)
    files = [file for file in folder.rglob("*") if file.is_file()]
    copies = [file for file in files if file.read_bytes() == weights.read_bytes()]
    assert [copy.relative_to(folder).as_posix() for copy in copies] == [
        "artifacts/model.safetensors"
    ]
    assert {file.suffix for file in files} <= {".py", ".json", ".yaml", ".txt", ".safetensors", ""}
    assert [file for file in files if _is_pickle(file.read_bytes())] == []
    assert not list(folder.rglob("__pycache__"))
    requirements = (folder / "requirements.txt").read_text().split()
    names = {requirement.partition("==")[0] for requirement in requirements}
    assert names == {"mlflow", "torch", "numpy", "safetensors", "opencv-python-headless"}
    assert all("==" in requirement and "+" not in requirement for requirement in requirements)


def _is_pickle(content: bytes) -> bool:
    """Whether the bytes parse as a pickle from their first opcode to STOP."""
    try:
        return len(list(pickletools.genops(content))) > 0
    except ValueError:
        return False


WITHOUT = """
import sys
for absent in ("cv2", "safetensors", "tuning", "data_prep", "models", "ray", "optuna"):
    sys.modules[absent] = None
import mlflow, numpy as np
mlflow.set_tracking_uri(sys.argv[1])
planes = np.load(sys.argv[2])
for uri in sys.argv[4:]:
    model = mlflow.pyfunc.load_model(uri)
    for name, L in planes.items():
        np.save(f"{sys.argv[3]}/{model.metadata.model_id}-{name}.npy", model.predict(L))
"""


LOAD = """
import json, sys
sys.path.insert(0, sys.argv[3])
import models
assert models.__file__ == f"{sys.argv[3]}/models.py"
import mlflow, numpy as np
mlflow.set_tracking_uri(sys.argv[1])
L = np.load(sys.argv[2])
for number, uri in enumerate(sys.argv[4:]):
    model = mlflow.pyfunc.load_model(uri)
    assert model.metadata.signature is not None and model.input_example is not None
    assert not any(name.split(".")[0] in ("tuning", "data_prep") for name in sys.modules)
    assert sys.modules["models"] is models
    print(*(file for name, module in sys.modules.items() if name.startswith("chromatune_models")
            if (file := module.__file__).endswith("__init__.py")))
    np.save(f"{sys.argv[3]}/{number}.npy", model.predict(L))
    if model.metadata.signature.params:
        np.save(f"{sys.argv[3]}/lab.npy", model.predict(L, params={"output": "lab"}))
"""


def test_a_fresh_process_with_other_models_opens_both_tasks(
    make_launch: MakeLaunch, store: str, tmp_path: Path, planes: np.ndarray
) -> None:
    regression, _, regression_weights = log_one(make_launch, store, "regression")
    colorizer, _, _ = log_one(make_launch, store, "colorizer")
    np.save(tmp_path / "L.npy", planes)
    (tmp_path / "models.py").write_text("class Net: pass\n")
    empty = tmp_path / "empty"
    empty.mkdir()
    answer = subprocess.run(
        # -P and another folder: the project's own packages are not on the path.
        [sys.executable, "-P", "-W", "ignore", "-c", LOAD, store, str(tmp_path / "L.npy"),
         str(tmp_path), regression.model_uri, colorizer.model_uri],
        cwd=empty, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert answer.returncode == 0, answer.stderr
    # Both tasks carry the same package: it is imported once.
    stored = r"\S+/code/chromatune_models_[0-9a-f]{12}/__init__\.py\n"
    assert re.fullmatch(f"({stored})\\1", answer.stdout), answer.stdout

    network = load_model(regression_weights)
    resized = np.stack([cv2.resize(plane, (128, 128)) for plane in planes])
    with torch.inference_mode():
        expected = network(torch.from_numpy(resized)[:, None].float() / 255).numpy() * 255 - 128
    means = np.load(tmp_path / "0.npy")
    assert (means.shape, means.dtype) == ((2, 2), np.float32)
    np.testing.assert_allclose(means, expected, atol=1e-4)

    rgb, lab = np.load(tmp_path / "1.npy"), np.load(tmp_path / "lab.npy")
    assert rgb.shape == lab.shape == (2, 90, 70, 3)
    assert rgb.dtype == lab.dtype == np.uint8
    np.testing.assert_array_equal(lab[..., 0], planes)
    for picture, painted in zip(lab, rgb, strict=True):
        np.testing.assert_array_equal(cv2.cvtColor(picture, cv2.COLOR_LAB2RGB), painted)


def test_mlflow_and_torch_are_enough(
    make_launch: MakeLaunch, store: str, tmp_path: Path, planes: np.ndarray
) -> None:
    cells = [log_one(make_launch, store, task) for task in TASKS]
    ramp = np.linspace(0, 255, 290 * 260).reshape(1, 290, 260).astype(np.uint8)
    inputs = {"small": planes, "large": ramp, "wide": ramp.reshape(1, 65, -1)}
    np.savez(tmp_path / "L.npz", **inputs)  # type: ignore[arg-type]
    answer = subprocess.run(
        [sys.executable, "-P", "-W", "ignore", "-c", WITHOUT, store, str(tmp_path / "L.npz"),
         str(tmp_path), *(cell.model_uri for cell, _, _ in cells)],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert answer.returncode == 0, answer.stderr
    for cell, _, weights in cells:
        with_opencv = load_serving(weights)
        for name, L in inputs.items():
            predicted = np.load(tmp_path / f"{cell.model_id}-{name}.npy")
            expected = with_opencv.predict(None, L)
            assert (predicted.shape, predicted.dtype) == (expected.shape, expected.dtype)
            np.testing.assert_allclose(predicted.astype(float), expected, rtol=0, atol=3)
            assert np.abs(predicted.astype(float) - expected).mean() < 0.5


def test_at_the_network_s_own_size_predictions_are_the_network_s(tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = create_model("autoencoder", head="sigmoid").eval()
    save_model(network, tmp_path / "model.safetensors")
    L = np.random.default_rng(1).integers(0, 256, (3, 128, 128), dtype=np.uint8)
    lab = load_serving(tmp_path / "model.safetensors").predict(None, L, {"output": "lab"})
    with torch.inference_mode():
        expected = network(torch.from_numpy(L)[:, None].float() / 255).numpy()
    np.testing.assert_array_equal(
        np.moveaxis(lab[..., 1:], -1, 1), np.rint(expected * 255).clip(0, 255).astype(np.uint8)
    )


@pytest.mark.parametrize(
    ("planes", "output", "message"),
    [
        (np.zeros((8, 8), np.uint8), "rgb", r"shape \(N, H, W\), but got shape \(8, 8\)"),
        (np.zeros((0, 8, 8), np.uint8), "rgb", r"but got shape \(0, 8, 8\)"),
        (np.full((1, 8, 8), 300.0), "rgb", "in 0 to 255, but reach from 300.0 to 300.0"),
        (np.full((1, 8, 8), np.nan), "rgb", "in 0 to 255"),
        (np.zeros((1, 8, 8), np.uint8), "hsv", "one of rgb, lab, but got 'hsv'"),
    ],
)
def test_wrong_input_is_rejected(
    tmp_path: Path, planes: np.ndarray, output: str, message: str
) -> None:
    save_model(create_model("autoencoder"), tmp_path / "model.safetensors")
    with pytest.raises(ValueError, match=message):
        load_serving(tmp_path / "model.safetensors").predict(None, planes, {"output": output})


@pytest.mark.parametrize("task", TASKS)
def test_weights_come_back_without_running_stored_code(
    make_launch: MakeLaunch, store: str, tmp_path: Path, task: str
) -> None:
    cell, folder, weights = log_one(make_launch, store, task)
    # Whatever has been put into the stored code must not matter.
    (folder / "pyfunc.py").write_text("raise SystemExit('stored code was run')")
    (package,) = (folder / "code").iterdir()
    (package / "__init__.py").write_text("raise SystemExit('run')")
    for target in (None, tmp_path / "fetched"):
        fetched = load_logged_weights(cell.model_uri, store, target)
        assert fetched.read_bytes() == weights.read_bytes()
    assert fetched == tmp_path / "fetched" / "model.safetensors"
    network = load_registered(cell.model_uri, store)
    assert network.task == task
    expected = load_model(weights).state_dict()
    assert all(torch.equal(value, expected[key]) for key, value in network.state_dict().items())


def test_what_is_no_model_of_this_project_is_rejected_in_one_line(
    store: str, client: MlflowClient
) -> None:
    model = client.create_logged_model(client.create_experiment("others"), "theirs")
    with pytest.raises(ChromatuneError, match=r"holds no artifacts/model\.safetensors") as caught:
        load_logged_weights(f"models:/{model.model_id}", store)
    assert "\n" not in str(caught.value)
    with pytest.raises(ChromatuneError, match="no model 'models:/nobody/1'"):
        load_logged_weights("models:/nobody/1", store)
