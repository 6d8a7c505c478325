"""The parent run: what was launched, on what, and the table of its cells."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from mlflow import MlflowClient
from mlflow.entities import Metric

from tuning.display import format_lr, format_value
from tuning.pictures import grid_heatmap
from tuning.redaction import redact, redact_document
from tuning.selection import CRITERIA
from tuning.tracking_dataset import log_dataset
from tuning.tracking_launch import FinishedCell, LaunchFolder, PlannedCell
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
_ROWS = 40


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
        self._store_results(run, finished, note)
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
        document = redact_document(dict(self._folder.document))
        log_dataset(self._client, run.run_id, self._folder.document)
        self._client.log_dict(run.run_id, document, "launch.json")
        config = yaml.safe_dump(document.get("config", {}), sort_keys=False)
        self._client.log_text(run.run_id, config, "config.yaml")

    def _store_results(
        self, run: TrackedRun, finished: Mapping[str, FinishedCell], note: str
    ) -> None:
        self._client.log_text(run.run_id, note, "cells.md")
        if len(self._cells) < 2 or not finished:
            return
        with tempfile.TemporaryDirectory() as scratch:
            path = Path(scratch) / "heatmap.png"
            self._draw_heatmap(finished, path)
            self._client.log_artifact(run.run_id, str(path), "pictures")

    def _draw_heatmap(self, finished: Mapping[str, FinishedCell], path: Path) -> None:
        epochs = sorted({cell.epochs for cell in self._cells})
        lrs = sorted({float(cell.params["lr"]) for cell in self._cells}, reverse=True)
        panels: dict[str, list[list[float]]] = {}
        for cell in self._cells:
            panel = panels.setdefault(_panel(cell), [[math.nan] * len(lrs) for _ in epochs])
            if cell.cell_id in finished:
                value = finished[cell.cell_id].metrics.get(self._metric, math.nan)
                panel[epochs.index(cell.epochs)][lrs.index(float(cell.params["lr"]))] = value
        grid_heatmap(
            self._folder.launch_id,
            [str(value) for value in epochs],
            [format_lr(value) for value in lrs],
            panels,
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
        baseline = self._folder.document.get("baseline") or {}
        values = {f"best_{name}": best.metrics.get(name) for name in figures} | {
            f"baseline_{name}": baseline.get(name) for name in figures
        }
        return [
            Metric(name, float(value), best.ended, step)
            for name, value in values.items()
            if value is not None
        ]

    def _note(self, finished: Mapping[str, FinishedCell]) -> str:
        """The run's description: the winner and the table of cells, the best first."""
        best = self._best(finished)
        done = f"{len(finished)} of {len(self._cells)} cells finished"
        lines = [done if best is None else f"{done}; best: **{best.cell_id}**"]
        figures = _FIGURES[self._folder.task]
        columns = ("model", "head", "lr", "epochs")
        lines += ["", _row((*columns, *figures)), "|---" * (len(columns) + len(figures)) + "|"]
        for cell in self._cells[:_ROWS]:
            metrics = finished[cell.cell_id].metrics if cell.cell_id in finished else {}
            values = [
                format_value(name, metrics[name]) if name in metrics else "" for name in figures
            ]
            lines.append(_row([*(cell.params.get(name, "") for name in columns), *values]))
        return "\n".join(lines)


def _row(texts: Sequence[str]) -> str:
    return "| " + " | ".join(texts) + " |"


def _panel(cell: PlannedCell) -> str:
    return " ".join(filter(None, (cell.params["model"], cell.params.get("head"))))


def _one_line(values: Mapping[str, Any] | None) -> str:
    return redact(", ".join(f"{key} {value}" for key, value in (values or {}).items()))
