"""The parent run of a launch: its configuration, its best cell, the table of its cells."""

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
from tuning.launch.records import CellRecord
from tuning.tracking.plan import LaunchPlan
from tuning.tracking.runs import FAILED, FINISHED, KILLED, TAG, LaunchRuns, TrackedRun, log_dataset
from tuning.tracking.ui.notes import HEATMAP, NOTE, TABLE, LaunchNote
from tuning.training.tasks import CRITERIA

_PARENT = ""
_PLURALS = {"model": "models", "head": "heads", "lr": "lrs"}
_PARAMS = ("model", "head", "lr", "epochs", "batch_size", "weight_decay", "seed", "image_size")
# The settings of a search that are known before its trials.
_SEARCH = ("sampler", "scheduler", "num_samples")
_OUTCOMES = {FINISHED: "finished", FAILED: "failed", KILLED: "stopped"}


class ParentRun:
    """The run in which the runs of a launch's cells are nested."""

    def __init__(
        self, plan: LaunchPlan, client: MlflowClient, runs: LaunchRuns, tags: Mapping[str, str]
    ) -> None:
        self._plan = plan
        self._client = client
        self._runs = runs
        self._tags = tags

    def open(self) -> TrackedRun:
        """Find the run, or create it with all that is known before training starts."""
        run = self._runs.find(_PARENT)
        if run is not None:
            return run
        document = self._plan.document
        environment = {
            f"{TAG}hardware": _one_line(document.get("hardware")),
            f"{TAG}versions": _one_line(document.get("versions")),
        }
        run = self._runs.open(
            _PARENT,
            name=self._plan.launch_id,
            params=self._params(),
            tags={
                **self._tags,
                **environment,
                NOTE: self._note({}).text(self._runs.experiment_id),
            },
            started=self._plan.created,
        )
        self._store_documents(run)
        return run

    def reopen(self) -> None:
        """Set the run to RUNNING again: the launch was resumed."""
        self._runs.reopen(self.open())

    def describe(self, ended: Mapping[str, CellRecord]) -> None:
        """Update the table in the run's description."""
        note = self._note(ended).text(self._runs.experiment_id)
        self._runs.write(self.open(), tags={NOTE: note})

    def finish(
        self, ended: Mapping[str, CellRecord], status: str, ended_at: int | None = None
    ) -> None:
        """Write the table, the heatmap and the best figures, and end the run.

        `ended_at` is in milliseconds; without it the run ends with its last cell. Does nothing if
        the run already has this status and table.
        """
        run = self.open()
        note = self._note(ended)
        has_heatmap = self._has_heatmap(ended)
        text = note.text(self._runs.experiment_id, run.run_id if has_heatmap else None)
        if run.status == status and run.tags.get(NOTE) == text:
            return
        self._store_documents(run)
        self._client.log_text(run.run_id, note.table(), TABLE)
        if has_heatmap:
            self._store_heatmap(run, ended)
        last = max((cell.ended for cell in ended.values()), default=self._plan.created)
        metrics, tags = [], {NOTE: text}
        if note.best is not None:
            metrics = self._best_metrics(note.best, last)
            tags[f"{TAG}best_cell"] = note.best.cell_id
        self._runs.write(run, metrics=metrics, tags=tags)
        self._runs.end(run, status, _OUTCOMES[status], ended_at or last)

    def _params(self) -> dict[str, str]:
        params = {"dataset": self._plan.dataset, "task": self._plan.task}
        if search := self._plan.search:
            return params | {key: str(search[key]) for key in _SEARCH if search.get(key)}
        cells = self._plan.cells
        for name in _PARAMS:
            values = dict.fromkeys(cell.params[name] for cell in cells if name in cell.params)
            if values:
                params[_PLURALS.get(name, name)] = ", ".join(values)
        return {**params, "cells": str(len(cells))}

    def _store_documents(self, run: TrackedRun) -> None:
        log_dataset(self._client, run.run_id, self._plan.document)
        self._client.log_dict(run.run_id, dict(self._plan.document), "launch.json")
        config = yaml.safe_dump(self._plan.document.get("config", {}), sort_keys=False)
        self._client.log_text(run.run_id, config, "config.yaml")

    def _has_heatmap(self, ended: Mapping[str, CellRecord]) -> bool:
        return bool(ended) and len(self._plan.cells) > 1 and not self._plan.search

    def _store_heatmap(self, run: TrackedRun, ended: Mapping[str, CellRecord]) -> None:
        metric = f"val_{CRITERIA[self._plan.task].name}"
        panels = GridTable(self._plan.task, self._rows(ended), {}).panels()
        with tempfile.TemporaryDirectory() as scratch:
            path = Path(scratch) / HEATMAP
            title = f"{metric_title(metric)}, {self._plan.dataset}"
            path.write_bytes(grid_heatmap(title, panels, metric))
            self._client.log_artifact(run.run_id, str(path))

    def _best_metrics(self, best: CellRecord, timestamp: int) -> list[Metric]:
        figures = [f"val_{name}" for name in CRITERIA[self._plan.task].headline]
        values = {f"best_{name}": best.metrics.get(name) for name in figures} | {
            f"baseline_{name}": self._plan.baseline.get(name) for name in figures
        }
        # MLflow draws what has no other step than 0 as bars; of a step, the latest value counts.
        return [
            Metric(name, float(value), timestamp, 0)
            for name, value in values.items()
            if value is not None
        ]

    def _note(self, ended: Mapping[str, CellRecord]) -> LaunchNote:
        return LaunchNote(self._plan, self._rows(ended), ended)

    def _rows(self, ended: Mapping[str, CellRecord]) -> list[CellRow]:
        rows = []
        for cell in self._plan.cells:
            run = self._runs.find(cell.cell_id)
            started = run.tags.get(f"{TAG}outcome", "") if run else "not run"
            known = ended.get(cell.cell_id)
            row = CellRow(
                cell_id=cell.cell_id,
                model=cell.params["model"] + (" fine-tuned" if cell.parent_model else ""),
                head=cell.params.get("head", "relu"),
                lr=float(cell.params["lr"]),
                epochs=cell.epochs,
                metrics=known.metrics if known else {},
                outcome=known.outcome if known else started,
                run_id=run.run_id if run else None,
                launch_id=self._plan.launch_id,
                published_epochs=cell.published_epochs,
                dataset=self._plan.dataset,
            )
            rows.append(row)
        return rows


def _one_line(values: Mapping[str, Any] | None) -> str:
    return ", ".join(f"{key} {value}" for key, value in (values or {}).items())
