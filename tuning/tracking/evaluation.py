"""A finished cell on the test set: measured and drawn once, the results kept on its run."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

from mlflow import MlflowClient
from mlflow.entities import Metric

from data_prep import PreparedDataset
from models import ChromaModel
from tuning.errors import ChromatuneError
from tuning.inference.samples import SCORES, write_showcase
from tuning.tracking.fetch_weights import load_registered
from tuning.tracking.store import RETRY_OR_RESUME, translated
from tuning.tracking.stored_runs import StoredCell
from tuning.training.data import load_split, load_task_data
from tuning.training.metrics import constant_baseline, evaluate

_SHOWCASE = "test"


def metrics_on_test(
    cell: StoredCell, dataset: PreparedDataset, task: str, tracking_uri: str, device: str = "cpu"
) -> dict[str, float]:
    """The cell's test metrics: those on its run, or measured now."""
    known = {key: value for key, value in cell.metrics.items() if key.startswith("test_")}
    return known or measure_model(
        load_registered(cell.model_uri, tracking_uri, device), dataset, task, device
    )


def measure_model(
    model: ChromaModel, dataset: PreparedDataset, task: str, device: str = "cpu"
) -> dict[str, float]:
    """Measure a network on a dataset's test set; ChromatuneError if it does not fit the dataset."""
    size = model.spec["image_size"]
    if model.task != task or size != dataset.size:
        raise ChromatuneError(
            f"the model is a {model.task} for {size} px, but the data is for {task} with "
            f"{dataset.size} px"
        )
    return evaluate(model, load_split(dataset, "test", task), task, prefix="test_", device=device)


def constant_on_test(dataset: PreparedDataset, task: str) -> dict[str, float]:
    """The test metrics of always predicting the training set's mean a and b."""
    baseline = load_task_data(dataset, task).baseline_ab
    return constant_baseline(load_split(dataset, "test", task), baseline, task, "test_")


def log_test_metrics(client: MlflowClient, cell: StoredCell, metrics: Mapping[str, float]) -> None:
    """Log the figures on the cell's run and model; those that are there already stay."""
    now = round(time.time() * 1000)
    owner = {"model_id": cell.model_id, "run_id": cell.run_id}
    # MLflow draws what has no other step than 0 as bars.
    unlogged = [
        Metric(key, value, now, 0, **owner)
        for key, value in metrics.items()
        if key not in cell.metrics
    ]
    with translated(f"cannot write the test metrics of {cell.cell_id} to MLflow", RETRY_OR_RESUME):
        client.log_batch(cell.run_id, metrics=unlogged)


def log_showcase(
    client: MlflowClient,
    cell: StoredCell,
    dataset: PreparedDataset,
    tracking_uri: str,
    device: str = "cpu",
) -> None:
    """Draw the predictions of the cell's model on the test set, as files under `test/` of its run.

    Does nothing if they are there: the scores are written last.
    """
    with (
        translated(f"cannot write the test pictures of {cell.cell_id} to MLflow", RETRY_OR_RESUME),
        tempfile.TemporaryDirectory() as scratch,
    ):
        present = {file.path for file in client.list_artifacts(cell.run_id, _SHOWCASE)}
        if f"{_SHOWCASE}/{SCORES}" in present:
            return
        folder = Path(scratch)
        write_showcase(
            load_registered(cell.model_uri, tracking_uri, device), dataset, folder, device
        )
        for path in sorted(folder.iterdir(), key=lambda path: path.name == SCORES):
            client.log_artifact(cell.run_id, str(path), _SHOWCASE)
