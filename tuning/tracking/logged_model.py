"""A trained network as the MLflow model of its run."""

from __future__ import annotations

import functools
import hashlib
import importlib.metadata
import re
import shutil
import sys
import tempfile
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from mlflow import MlflowClient
from mlflow.entities import LoggedModel, LoggedModelOutput, LoggedModelStatus
from mlflow.exceptions import MlflowException
from mlflow.models import Model, ModelSignature
from mlflow.types import DataType, ParamSchema, ParamSpec, Schema, TensorSpec

import models
from tuning.tracking.fetch_weights import WEIGHTS
from tuning.training.tasks import CRITERIA

with warnings.catch_warnings():
    # MLflow warns about type hints of its own classes while it is imported.
    warnings.simplefilter("ignore", UserWarning)
    import mlflow.pyfunc

_SCRIPT = Path(__file__).with_name("pyfunc.py")
_REQUIRED = ("mlflow", "torch", "numpy", "safetensors", "opencv-python-headless")
_ANY_PLANES = (-1, -1, -1)
# Small, because it is also stored as JSON text; 2 pictures, so that no batch of one looks special.
_EXAMPLE_SHAPE = (2, 32, 32)


def open_cell_model(
    client: MlflowClient,
    *,
    experiment_id: str,
    run_id: str,
    task: str,
    name: str,
    step: int,
    params: Mapping[str, str],
    tags: Mapping[str, str],
    is_new: bool = False,
) -> LoggedModel:
    """Find the model of a run, or create it; `store_files` completes it.

    With `is_new`, the run was just created and has none.
    """
    query = f"source_run_id = '{run_id}'"
    logged = [] if is_new else client.search_logged_models([experiment_id], query)
    model = min(logged, key=lambda m: (m.creation_timestamp, m.model_id), default=None)
    outputs = [] if model is None else client.get_run(run_id).outputs.model_outputs
    if model is None:
        model = client.create_logged_model(
            experiment_id, name, run_id, dict(tags), dict(params), model_type=task
        )
    if model.model_id not in {output.model_id for output in outputs}:
        client.log_outputs(run_id, [LoggedModelOutput(model.model_id, step)])
    return model


def store_files(
    client: MlflowClient, model: LoggedModel, run_id: str, task: str, weights: Path
) -> None:
    """Store the network in `weights` as the files of a model, unless they are there.

    Repeatable: a model that an interrupted call left unfinished is completed, and one whose files
    are gone gets them again.
    """
    is_ready = model.status == LoggedModelStatus.READY
    if not is_ready or not has_weights(client, model.model_id):
        with tempfile.TemporaryDirectory() as scratch:
            folder = _write_model(Path(scratch), model, run_id, task, weights)
            client.log_model_artifacts(model.model_id, str(folder))
    if not is_ready:
        client.finalize_logged_model(model.model_id, LoggedModelStatus.READY)


def has_weights(client: MlflowClient, model_id: str) -> bool:
    """Whether the files of a logged model are there."""
    try:
        found = client.list_logged_model_artifacts(model_id, "artifacts")
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
        return False
    return any(file.path.endswith(f"/{WEIGHTS}") for file in found)


@functools.cache
def _sources() -> tuple[str, dict[str, str]]:
    """The name under which the package `models` is stored, and its files.

    The name depends on the content: in the process that loads the model, nothing else has it, nor
    has another version of this package.
    """
    files = sorted(Path(models.__file__).parent.glob("*.py"))
    digest = hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()
    name = f"chromatune_models_{digest[:12]}"
    return name, {file.name: _renamed(file, name) for file in files}


def _renamed(file: Path, name: str) -> str:
    """The source in `file`, importing `name` instead of `models`."""
    return re.sub(r"^(from|import) models\b", rf"\1 {name}", file.read_text("utf-8"), flags=re.M)


def _write_model(scratch: Path, model: LoggedModel, run_id: str, task: str, weights: Path) -> Path:
    """Write the model into a folder in `scratch`, which is returned."""
    template, description = _template(task)
    folder = scratch / "model"
    shutil.copytree(template.name, folder, copy_function=shutil.copyfile)
    shutil.copyfile(weights, folder / "artifacts" / WEIGHTS)
    size = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
    own = {
        "artifact_path": model.artifact_location,
        "model_uuid": model.model_id,
        "model_id": model.model_id,
        "run_id": run_id,
        "model_size_bytes": size,
    }
    Model.from_dict(description | own).save(folder / "MLmodel")
    return folder


@functools.cache
def _template(task: str) -> tuple[tempfile.TemporaryDirectory[str], dict[str, Any]]:
    """A model without weights, which MLflow writes once in a process, and its description.

    For each one MLflow would run the script, infer types and read the versions of packages.
    """
    name, texts = _sources()
    folder = tempfile.TemporaryDirectory()
    with tempfile.TemporaryDirectory() as scratch:
        script, package = Path(scratch, _SCRIPT.name), Path(scratch, name)
        script.write_text(_renamed(_SCRIPT, name), encoding="utf-8")
        package.mkdir()
        for file, text in texts.items():
            (package / file).write_text(text, encoding="utf-8")
        weights = Path(scratch, WEIGHTS)
        weights.touch()
        sys.modules.setdefault(name, models)  # for MLflow, which runs the script when it stores it
        description = Model()
        mlflow.pyfunc.save_model(
            folder.name,
            python_model=script,
            artifacts={"weights": str(weights)},
            code_paths=[str(package)],
            signature=_signature(task),
            input_example=_example(task),
            pip_requirements=[f"{name}=={_version(name)}" for name in _REQUIRED],
            mlflow_model=description,
        )
    # Running the script may leave compiled files behind.
    for cache in Path(folder.name).rglob("__pycache__"):
        shutil.rmtree(cache)
    described: dict[str, Any] = description.to_dict()
    del described["utc_time_created"]  # each model's is its own
    return folder, described


def _signature(task: str) -> ModelSignature:
    inputs = Schema([TensorSpec(np.dtype(np.uint8), _ANY_PLANES)])
    if not CRITERIA[task].predicts_planes:
        return ModelSignature(inputs, Schema([TensorSpec(np.dtype(np.float32), (-1, 2))]))
    return ModelSignature(
        inputs,
        Schema([TensorSpec(np.dtype(np.uint8), (*_ANY_PLANES, 3))]),
        ParamSchema([ParamSpec("output", DataType.string, "rgb")]),
    )


def _example(task: str) -> Any:
    count, height, width = _EXAMPLE_SHAPE
    ramp = np.linspace(0, 255, width).astype(np.uint8)
    planes = np.broadcast_to(ramp, (count, height, width)).copy()
    return (planes, {"output": "rgb"}) if CRITERIA[task].predicts_planes else planes


def _version(package: str) -> str:
    """The public version: `2.13.0+cpu` is on no package index."""
    return importlib.metadata.version(package).partition("+")[0]
