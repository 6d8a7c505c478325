"""The parent run: what was launched, on what, and the table of its cells."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from mlflow import MlflowClient
from mlflow.entities import Metric

from tuning.display.formatting import metric_title
from tuning.display.grid_table import CellRow, GridTable
from tuning.display.plots import grid_heatmap
from tuning.tracking.dataset import log_dataset
from tuning.tracking.launch_reader import FinishedCell, LaunchFolder, PlannedCell
from tuning.tracking.runs import FAILED, FINISHED, KILLED, TAG, LaunchRuns, TrackedRun
from tuning.tracking.ui.experiment import NOTE
from tuning.tracking.ui.launch_note import HEATMAP, TABLE, LaunchStory
from tuning.training.tasks import CRITERIA

_PARENT = ""
_PLURALS = {"model": "models", "head": "heads", "lr": "lrs"}
_PARAMS = ("model", "head", "lr", "epochs", "batch_size", "weight_decay", "seed", "image_size")
# What of a search is known before its trials are, and stays.
_SEARCH = ("sampler", "scheduler", "num_samples")
# The figures of the best cell, and of the constant predictor beside them.
_FIGURES = {
    "regression": ("val_mse", "val_rmse_lab_a", "val_rmse_lab_b"),
    "colorizer": ("val_psnr", "val_ssim"),
}
_OUTCOMES = {FINISHED: "finished", FAILED: "failed", KILLED: "stopped"}


class ParentRun:
    """The one run of a launch that its cells' runs are nested in."""

    def __init__(
        self, folder: LaunchFolder, client: MlflowClient, runs: LaunchRuns, tags: Mapping[str, str]
    ) -> None:
        self._folder = folder
        self._client = client
        self._runs = runs
        self._tags = tags

    def open(self) -> TrackedRun:
        """Find the run, or make it with all that is known before training begins."""
        run = self._runs.find(_PARENT)
        if run is not None:
            return run
        document = self._folder.document
        environment = {
            f"{TAG}hardware": _one_line(document.get("hardware")),
            f"{TAG}versions": _one_line(document.get("versions")),
        }
        run = self._runs.open(
            _PARENT,
            name=self._folder.launch_id,
            params=self._params(),
            tags={
                **self._tags,
                **environment,
                NOTE: self._story({}).note(self._runs.experiment_id),
            },
            started=self._folder.created,
        )
        self._store_documents(run)
        return run

    def reopen(self) -> None:
        """Set the run to RUNNING again: the launch has been resumed."""
        self._runs.reopen(self.open())

    def describe(self, ended: Mapping[str, FinishedCell]) -> None:
        """Bring the table in the run's description up to date."""
        note = self._story(ended).note(self._runs.experiment_id)
        self._runs.write(self.open(), tags={NOTE: note})

    def finish(
        self, ended: Mapping[str, FinishedCell], status: str, ended_at: int | None = None
    ) -> None:
        """Write the table, the heatmap and the best figures, and end the run.

        `ended_at` is in milliseconds; without it the run ended with its last cell. Does nothing if
        the run has ended so with this very table.
        """
        run = self.open()
        story = self._story(ended)
        has_heatmap = self._has_heatmap(ended)
        note = story.note(self._runs.experiment_id, run.run_id if has_heatmap else None)
        if run.status == status and run.tags.get(NOTE) == note:
            return
        self._store_documents(run)
        self._client.log_text(run.run_id, story.table(), TABLE)
        if has_heatmap:
            self._store_heatmap(run, ended)
        last = max((cell.ended for cell in ended.values()), default=self._folder.created)
        metrics, tags = [], {NOTE: note}
        if story.best is not None:
            metrics = self._best_metrics(story.best, last)
            tags[f"{TAG}best_cell"] = story.best.cell_id
        self._runs.write(run, metrics=metrics, tags=tags)
        self._runs.end(run, status, _OUTCOMES[status], ended_at or last)

    @property
    def _cells(self) -> list[PlannedCell]:
        return [cell for plan in self._folder.trainings.values() for cell in plan.cells]

    def _params(self) -> dict[str, str]:
        params = {"dataset": self._folder.dataset, "task": self._folder.task}
        if self._folder.is_search:
            search = (self._folder.document.get("config") or {}).get("search") or {}
            return params | {key: str(search[key]) for key in _SEARCH if search.get(key)}
        cells = self._cells
        for name in _PARAMS:
            values = dict.fromkeys(cell.params[name] for cell in cells if name in cell.params)
            if values:
                params[_PLURALS.get(name, name)] = ", ".join(values)
        return {**params, "cells": str(len(cells))}

    def _store_documents(self, run: TrackedRun) -> None:
        log_dataset(self._client, run.run_id, self._folder.document)
        self._client.log_dict(run.run_id, dict(self._folder.document), "launch.json")
        config = yaml.safe_dump(self._folder.document.get("config", {}), sort_keys=False)
        self._client.log_text(run.run_id, config, "config.yaml")

    def _has_heatmap(self, ended: Mapping[str, FinishedCell]) -> bool:
        return bool(ended) and len(self._cells) > 1 and not self._folder.is_search

    def _store_heatmap(self, run: TrackedRun, ended: Mapping[str, FinishedCell]) -> None:
        criterion = CRITERIA[self._folder.task]
        metric = f"val_{criterion.name}"
        panels = GridTable(self._folder.task, self._rows(ended), {}).panels()
        with tempfile.TemporaryDirectory() as scratch:
            path = Path(scratch) / HEATMAP
            grid_heatmap(
                f"{metric_title(metric)}, {self._folder.dataset}",
                panels.rows,
                panels.columns,
                panels.values,
                metric,
                criterion.higher_is_better,
                path,
            )
            self._client.log_artifact(run.run_id, str(path))

    def _best_metrics(self, best: FinishedCell, timestamp: int) -> list[Metric]:
        figures = _FIGURES[self._folder.task]
        baseline = self._folder.document.get("baseline") or {}
        values = {f"best_{name}": best.metrics.get(name) for name in figures} | {
            f"baseline_{name}": baseline.get(name) for name in figures
        }
        # MLflow draws what has no other step than 0 as bars; of a step, the latest value counts.
        return [
            Metric(name, float(value), timestamp, 0)
            for name, value in values.items()
            if value is not None
        ]

    def _story(self, ended: Mapping[str, FinishedCell]) -> LaunchStory:
        return LaunchStory(self._folder, self._rows(ended), ended)

    def _rows(self, ended: Mapping[str, FinishedCell]) -> list[CellRow]:
        rows = []
        for cell in self._cells:
            run = self._runs.find(cell.cell_id)
            begun = run.tags.get(f"{TAG}outcome", "") if run else "not run"
            known = ended.get(cell.cell_id)
            row = CellRow(
                cell_id=cell.cell_id,
                model=cell.params["model"] + (" fine-tuned" if cell.parent_model else ""),
                head=cell.params.get("head", "relu"),
                lr=float(cell.params["lr"]),
                epochs=cell.epochs,
                metrics=known.metrics if known else {},
                outcome=known.outcome if known else begun,
                run_id=run.run_id if run else None,
                launch_id=self._folder.launch_id,
                published_epochs=cell.published_epochs,
                dataset=self._folder.dataset,
            )
            rows.append(row)
        return rows


def _one_line(values: Mapping[str, Any] | None) -> str:
    return ", ".join(f"{key} {value}" for key, value in (values or {}).items())
