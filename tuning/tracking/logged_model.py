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
from mlflow.entities import LoggedModel, LoggedModelOutput, LoggedModelStatus, Metric, Run
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


def log_cell_model(
    client: MlflowClient,
    *,
    experiment_id: str,
    run_id: str,
    task: str,
    name: str,
    weights: Path,
    step: int,
    params: Mapping[str, str],
    tags: Mapping[str, str],
) -> str:
    """Store the network in `weights` as the MLflow model of a run and return its id.

    The run's validation metrics at `step` become those of the model too. Repeatable: a model that
    an interrupted call left unfinished is completed, and one whose files are gone gets them again.
    """
    logged = client.search_logged_models([experiment_id], f"source_run_id = '{run_id}'")
    model = min(logged, key=lambda m: (m.creation_timestamp, m.model_id), default=None)
    if model is None:
        model = client.create_logged_model(
            experiment_id, name, run_id, dict(tags), dict(params), model_type=task
        )
    run = client.get_run(run_id)
    if model.model_id not in {output.model_id for output in run.outputs.model_outputs}:
        client.log_outputs(run_id, [LoggedModelOutput(model.model_id, step)])
    is_ready = model.status == LoggedModelStatus.READY
    if not is_ready or not has_weights(client, model.model_id):
        with tempfile.TemporaryDirectory() as scratch:
            folder = _write_model(Path(scratch), model, run_id, task, weights)
            client.log_model_artifacts(model.model_id, str(folder))
    if not is_ready:
        client.log_batch(run_id, _validation_metrics(run, model.model_id, step))
        client.finalize_logged_model(model.model_id, LoggedModelStatus.READY)
    return str(model.model_id)


def has_weights(client: MlflowClient, model_id: str) -> bool:
    """Whether the files of a logged model are there."""
    try:
        found = client.list_logged_model_artifacts(model_id, "artifacts")
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
        return False
    return any(file.path.endswith(f"/{WEIGHTS}") for file in found)


def _validation_metrics(run: Run, model_id: str, step: int) -> list[Metric]:
    """The run's own metrics with the model's id, so that the run's history stays as it is."""
    return [
        Metric(m.key, m.value, m.timestamp, m.step, model_id=model_id, run_id=run.info.run_id)
        # Unlike `run.data.metrics`, these have steps and times.
        for m in run.data.to_proto().metrics
        if m.step == step and m.key.startswith("val_")
    ]


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
    name, texts = _sources()
    script, package, folder = scratch / _SCRIPT.name, scratch / name, scratch / "model"
    script.write_text(_renamed(_SCRIPT, name), encoding="utf-8")
    package.mkdir()
    for file, text in texts.items():
        (package / file).write_text(text, encoding="utf-8")
    sys.modules.setdefault(name, models)  # for MLflow, which runs the script when it stores it
    mlflow.pyfunc.save_model(
        folder,
        python_model=script,
        artifacts={"weights": str(weights)},
        code_paths=[str(package)],
        signature=_signature(task),
        input_example=_example(task),
        pip_requirements=[f"{name}=={_version(name)}" for name in _REQUIRED],
        mlflow_model=Model(
            artifact_path=model.artifact_location,
            model_uuid=model.model_id,
            run_id=run_id,
            model_id=model.model_id,
        ),
    )
    # Running the script may leave compiled files behind.
    for cache in folder.rglob("__pycache__"):
        shutil.rmtree(cache)
    return folder


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
