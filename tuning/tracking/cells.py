"""Finished cells as MLflow knows them, over all launches."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping

from mlflow.entities import Run
from mlflow.exceptions import MlflowException

from tuning.errors import ChromatuneError
from tuning.tracking.runs import FINISHED, TAG
from tuning.tracking.store import (
    first_line,
    make_client,
    search_all_experiments,
    search_all_runs,
)


@dataclasses.dataclass(frozen=True)
class TrackedCell:
    """A finished cell's run: `params` as MLflow's strings, `metrics` at the cell's last epoch."""

    run_id: str
    run_name: str
    launch_id: str
    cell_id: str
    kind: str
    dataset: str
    dataset_digest: str
    params: Mapping[str, str]
    metrics: Mapping[str, float]
    model_id: str
    parent_model: str | None
    published_epochs: int | None
    experiment_id: str = ""
    parent_run_id: str | None = None

    @property
    def model_uri(self) -> str:
        return f"models:/{self.model_id}"


def finished_cells(
    tracking_uri: str, dataset_digest: str, task: str, kind: str | None = None
) -> list[TrackedCell]:
    """List the finished cells of all launches on this very data, the oldest first.

    A cell counts if its run is FINISHED, has its model, and all its validation metrics are finite.
    Raises ChromatuneError if the store cannot be read.
    """
    wanted = {"outcome": "finished", "dataset_digest": dataset_digest, "task": task}
    if kind is not None:
        wanted["kind"] = kind
    terms = [f"attributes.status = '{FINISHED}'"]
    terms += [f"tags.`{TAG}{key}` = '{value}'" for key, value in wanted.items()]
    client = make_client(tracking_uri)
    try:
        experiments = search_all_experiments(client, f"tags.`{TAG}task` = '{task}'")
        ids = [str(experiment.experiment_id) for experiment in experiments]
        runs = list(search_all_runs(client, ids, " AND ".join(terms)))
    except MlflowException as error:
        raise ChromatuneError(f"cannot read the runs in MLflow: {first_line(error)}") from None
    return [_cell(run) for run in runs if _is_whole(run)]


def _is_whole(run: Run) -> bool:
    figures = [value for key, value in run.data.metrics.items() if key.startswith("val_")]
    is_cell = f"{TAG}cell_id" in run.data.tags and bool(run.outputs.model_outputs)
    return is_cell and bool(figures) and all(math.isfinite(value) for value in figures)


def _cell(run: Run) -> TrackedCell:
    tags = run.data.tags
    published = tags.get(f"{TAG}published_epochs")
    return TrackedCell(
        run_id=run.info.run_id,
        run_name=run.info.run_name,
        launch_id=tags[f"{TAG}launch_id"],
        cell_id=tags[f"{TAG}cell_id"],
        kind=tags[f"{TAG}kind"],
        dataset=tags[f"{TAG}dataset"],
        dataset_digest=tags[f"{TAG}dataset_digest"],
        params=dict(run.data.params),
        metrics=dict(run.data.metrics),
        model_id=run.outputs.model_outputs[0].model_id,
        parent_model=tags.get(f"{TAG}parent_model"),
        published_epochs=int(published) if published else None,
        experiment_id=str(run.info.experiment_id),
        parent_run_id=tags.get("mlflow.parentRunId"),
    )
