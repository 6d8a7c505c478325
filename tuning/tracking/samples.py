"""What a measured model makes of its test pictures, as artifacts of its run."""

from __future__ import annotations

import tempfile
from pathlib import Path

from mlflow import MlflowClient

from data_prep import PreparedDataset
from tuning.inference.samples import SCORES, write_showcase
from tuning.tracking.cells import TrackedCell
from tuning.tracking.store import writing
from tuning.tracking.weights import load_registered

SHOWCASE = "test"


def log_showcase(
    client: MlflowClient,
    cell: TrackedCell,
    dataset: PreparedDataset,
    tracking_uri: str,
    device: str = "cpu",
) -> None:
    """Draw the cell's model on `dataset` and keep the files under `test/` of its run.

    Does nothing if they are there: the scores arrive last and stand for the whole.
    """
    what = f"the test pictures of {cell.cell_id}"
    with writing(what):
        present = {file.path for file in client.list_artifacts(cell.run_id, SHOWCASE)}
    if f"{SHOWCASE}/{SCORES}" in present:
        return
    model = load_registered(cell.model_uri, tracking_uri, device)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        write_showcase(model, dataset, folder, device)
        with writing(what):
            for path in sorted(folder.iterdir(), key=lambda path: path.name == SCORES):
                client.log_artifact(cell.run_id, str(path), SHOWCASE)
