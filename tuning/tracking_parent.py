"""The parent run: what was launched, on what, and the table of its cells."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from mlflow import MlflowClient
from mlflow.entities import Metric

from tuning.display import format_value, metric_title
from tuning.pictures import grid_heatmap
from tuning.selection import CRITERIA
from tuning.tables import CellRow, grid_panels, markdown_table
from tuning.tracking_dataset import log_dataset
from tuning.tracking_launch import FinishedCell, LaunchFolder
from tuning.tracking_runs import FAILED, FINISHED, KILLED, TAG, LaunchRuns, TrackedRun

_PARENT = ""
_NOTE = "mlflow.note.content"
_PLURALS = {"model": "models", "head": "heads", "lr": "lrs"}
_PARAMS = ("model", "head", "lr", "epochs", "batch_size", "weight_decay", "seed", "image_size")
# The figures of the best cell, and of the constant predictor beside them.
_FIGURES = {
    "regression": ("val_mse", "val_rmse_lab_a", "val_rmse_lab_b"),
    "colorizer": ("val_psnr", "val_ssim"),
}
_OUTCOMES = {FINISHED: "finished", FAILED: "failed", KILLED: "stopped"}
# A tag holds 8000 characters.
_NOTE_LENGTH = 7900


class ParentRun:
    """The one run of a launch that its cells' runs are nested in."""

    def __init__(
        self, folder: LaunchFolder, client: MlflowClient, runs: LaunchRuns, tags: Mapping[str, str]
    ) -> None:
        self._folder = folder
        self._client = client
        self._runs = runs
        self._tags = tags
        self._cells = [cell for plan in folder.trainings.values() for cell in plan.cells]
        self._criterion = CRITERIA[folder.task]
        self._baseline: Mapping[str, float] = folder.document.get("baseline") or {}
        self._metric = f"val_{self._criterion.name}"

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
            tags={**self._tags, **environment, _NOTE: self._note({})},
            started=self._folder.created,
        )
        self._store_documents(run)
        return run

    def reopen(self) -> None:
        """Set the run to RUNNING again: the launch has been resumed."""
        self._runs.reopen(self.open())

    def describe(self, finished: Mapping[str, FinishedCell]) -> None:
        """Bring the table in the run's description up to date."""
        self._runs.write(self.open(), tags={_NOTE: self._note(finished)})

    def finish(
        self, finished: Mapping[str, FinishedCell], status: str, ended: int | None = None
    ) -> None:
        """Write the table, the heatmap and the best figures, and end the run.

        `ended` is in milliseconds; without it the run ended with its last cell. Does nothing if the
        run has ended so with this very table.
        """
        run = self.open()
        note = self._note(finished)
        if run.status == status and run.tags.get(_NOTE) == note:
            return
        self._store_documents(run)
        self._store_results(run, finished)
        best = self._best(finished)
        metrics = self._best_metrics(best, len(finished)) if best else []
        tags = {_NOTE: note, **({f"{TAG}best_cell": best.cell_id} if best else {})}
        self._runs.write(run, metrics=metrics, tags=tags)
        last = max((cell.ended for cell in finished.values()), default=self._folder.created)
        self._runs.end(run, status, _OUTCOMES[status], ended or last)

    def _params(self) -> dict[str, str]:
        params = {"dataset": self._folder.dataset, "task": self._folder.task}
        for name in _PARAMS:
            values = dict.fromkeys(cell.params[name] for cell in self._cells if name in cell.params)
            if values:
                params[_PLURALS.get(name, name)] = ", ".join(values)
        return {**params, "cells": str(len(self._cells))}

    def _store_documents(self, run: TrackedRun) -> None:
        log_dataset(self._client, run.run_id, self._folder.document)
        self._client.log_dict(run.run_id, dict(self._folder.document), "launch.json")
        config = yaml.safe_dump(self._folder.document.get("config", {}), sort_keys=False)
        self._client.log_text(run.run_id, config, "config.yaml")

    def _store_results(self, run: TrackedRun, finished: Mapping[str, FinishedCell]) -> None:
        table = markdown_table(self._rows(finished), self._folder.task, self._baseline)
        self._client.log_text(run.run_id, table, "cells.md")
        if len(self._cells) < 2 or not finished:
            return
        with tempfile.TemporaryDirectory() as scratch:
            path = Path(scratch) / "heatmap.png"
            self._draw_heatmap(finished, path)
            self._client.log_artifact(run.run_id, str(path), "pictures")

    def _draw_heatmap(self, finished: Mapping[str, FinishedCell], path: Path) -> None:
        panels = grid_panels(self._rows(finished), self._folder.task)
        grid_heatmap(
            f"{metric_title(self._metric)}, {self._folder.dataset}",
            panels.rows,
            panels.columns,
            panels.values,
            self._metric,
            self._criterion.higher_is_better,
            path,
        )

    def _best(self, finished: Mapping[str, FinishedCell]) -> FinishedCell | None:
        best: FinishedCell | None = None
        for cell in finished.values():
            value = self._criterion.value(cell.metrics, "val_")
            present = self._criterion.value(best.metrics, "val_") if best else math.nan
            if self._criterion.better(value, present):
                best = cell
        return best

    def _best_metrics(self, best: FinishedCell, step: int) -> list[Metric]:
        figures = _FIGURES[self._folder.task]
        values = {f"best_{name}": best.metrics.get(name) for name in figures} | {
            f"baseline_{name}": self._baseline.get(name) for name in figures
        }
        return [
            Metric(name, float(value), best.ended, step)
            for name, value in values.items()
            if value is not None
        ]

    def _note(self, finished: Mapping[str, FinishedCell]) -> str:
        """The run's description: the winner and the table of cells."""
        best = self._best(finished)
        lines = [f"{len(finished)} of {len(self._cells)} cells finished."]
        if best is not None:
            value = format_value(self._metric, best.metrics[self._metric])
            lines.append(f"Best: **{best.cell_id}**, {metric_title(self._metric)} {value}.")
        table = markdown_table(self._rows(finished), self._folder.task, self._baseline)
        note = f"{' '.join(lines)}\n\n{_spaced(table)}"
        if len(note) <= _NOTE_LENGTH:
            return note
        return note[:_NOTE_LENGTH].rpartition("\n")[0] + "\n\nThe whole table is in cells.md."

    def _rows(self, finished: Mapping[str, FinishedCell]) -> list[CellRow]:
        rows = []
        for cell in self._cells:
            run = self._runs.find(cell.cell_id)
            is_finished = cell.cell_id in finished
            begun = run.tags.get(f"{TAG}outcome", "") if run else "not run"
            row = CellRow(
                cell_id=cell.cell_id,
                model=cell.params["model"] + (" fine-tuned" if cell.parent_model else ""),
                head=cell.params.get("head", "relu"),
                lr=float(cell.params["lr"]),
                epochs=cell.epochs,
                metrics=finished[cell.cell_id].metrics if is_finished else {},
                outcome="finished" if is_finished else begun,
                run_id=run.run_id if run else None,
                launch_id=self._folder.launch_id,
                published_epochs=cell.published_epochs,
                dataset=self._folder.dataset,
            )
            rows.append(row)
        return rows


def _spaced(table: str) -> str:
    """Pad the cells of Markdown tables: MLflow's UI sets their columns without any room between."""
    return "\n".join(
        line.replace(" |", "&emsp;|") if line.startswith("| ") else line
        for line in table.splitlines()
    )


def _one_line(values: Mapping[str, Any] | None) -> str:
    return ", ".join(f"{key} {value}" for key, value in (values or {}).items())
