"""The parent run of a launch: its configuration, its best cell, the table of its cells."""

from __future__ import annotations

import io
import math
from collections import Counter
from collections.abc import Mapping

import yaml
from mlflow import MlflowClient
from mlflow.entities import Metric
from PIL import Image

from tuning.display.formatting import format_count, format_value, metric_title
from tuning.display.grid_table import CellRow, GridTable
from tuning.launch.code import read_code
from tuning.launch.records import CellRecord
from tuning.tracking.expected_runs import LaunchPlan, PlannedCell
from tuning.tracking.run_tags import environment_tags
from tuning.tracking.runs import (
    FAILED,
    FINISHED,
    KILLED,
    TAG,
    LaunchRuns,
    TrackedRun,
    log_dataset,
)
from tuning.tracking.ui.links import artifact, comparison_page, description_links, run_page
from tuning.tracking.ui.notes import NOTE, figure
from tuning.training.tasks import CRITERIA, higher_is_better

_PARENT = ""
_PLURALS = {"model": "models", "head": "heads", "lr": "lrs"}
_PARAMS = ("model", "head", "lr", "epochs", "batch_size", "weight_decay", "seed", "image_size")
# The settings of a search that are known before its trials.
_SEARCH = ("sampler", "scheduler", "num_samples")
_OUTCOMES = {FINISHED: "finished", FAILED: "failed", KILLED: "stopped"}
_TABLE = "cells.md"
_HEATMAP = "heatmap.png"
_COMPARED = 5
# A tag holds 8000 characters.
_NOTE_LENGTH = 7900


class ParentRun:
    """The run in which the runs of a launch's cells are nested.

    `ended` holds the cells that are in MLflow as a whole; the projector adds to it.
    """

    def __init__(
        self,
        plan: LaunchPlan,
        client: MlflowClient,
        runs: LaunchRuns,
        tags: Mapping[str, str],
        ended: Mapping[str, CellRecord],
    ) -> None:
        self._plan = plan
        self._client = client
        self._runs = runs
        self._tags = tags
        self._ended = ended
        self._criterion = CRITERIA[plan.task]
        self._metric = plan.metric

    def open(self) -> TrackedRun:
        """Find the run, or create it with all that is known before training starts."""
        run = self._runs.find(_PARENT)
        if run is None:
            run = self._runs.open(
                _PARENT,
                name=self._plan.launch_id,
                params=self._params(),
                tags={
                    **self._tags,
                    **environment_tags(self._plan.document),
                    NOTE: self._note(),
                },
                started=self._plan.created,
            )
            self._runs.write(run)
            self._store_documents(run)
        return run

    def reopen(self) -> None:
        """Set the run to RUNNING again: the launch was resumed."""
        self._runs.reopen(self.open())

    def describe(self) -> None:
        """Update the table in the run's description."""
        self._runs.write(self.open(), tags={NOTE: self._note()})

    def finish(self, status: str, ended_at: int | None = None) -> None:
        """Write the table, its heatmap and the best figures, and end the run.

        `ended_at` is in milliseconds; without it the run ends with its last cell. Does nothing if
        the run already has this status and table.
        """
        run = self.open()
        has_heatmap = bool(self._ended) and len(self._plan.cells) > 1 and not self._plan.search
        note = self._note(run.run_id if has_heatmap else None)
        if run.status == status and run.tags.get(NOTE) == note:
            return
        self._store_documents(run)
        if not self._plan.search:
            self._client.log_text(run.run_id, self._grid().markdown(), _TABLE)
        if has_heatmap:
            self._store_heatmap(run)
        last = max((cell.ended for cell in self._ended.values()), default=self._plan.created)
        metrics, tags = [], {NOTE: note}
        best = self._best()
        if best is not None:
            metrics = self._best_metrics(best, last)
            tags[f"{TAG}best_cell"] = best.cell_id
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
        for code in read_code(self._plan.storage, self._plan.document):
            self._client.log_text(run.run_id, code.source, f"code/{code.name}")

    def _store_heatmap(self, run: TrackedRun) -> None:
        from tuning.display.plots import grid_heatmap  # matplotlib is not needed before the end

        title = f"{metric_title(self._metric)}, {self._plan.dataset}"
        heatmap = io.BytesIO(grid_heatmap(title, self._grid().panels(), self._metric))
        self._client.log_image(run.run_id, Image.open(heatmap), _HEATMAP)

    def _best_metrics(self, best: CellRecord, timestamp: int) -> list[Metric]:
        sources = {"best": best.metrics, "baseline": self._plan.baseline}
        names = dict.fromkeys([*self._criterion.headline, self._metric.removeprefix("val_")])
        # MLflow draws what has no other step than 0 as bars; of a step, the latest value counts.
        return [
            Metric(f"{source}_val_{name}", float(figures[f"val_{name}"]), timestamp, 0)
            for source, figures in sources.items()
            for name in names
            if figures.get(f"val_{name}") is not None
        ]

    def _note(self, run_id: str | None = None) -> str:
        """The description: the best cell first, since MLflow folds up the rest.

        `run_id` is the launch's run, if it has a heatmap. A search has no table, because the view
        of its cells compares them by what it varies.
        """
        note = f"{self._headline()}\n\n{self._links()}"
        if self._plan.search:
            return note
        if run_id is not None:
            note += f"\n\n![heatmap]({artifact(run_id, _HEATMAP)})"
        note += f"\n\n{_spaced(self._grid().markdown())}"
        if len(note) <= _NOTE_LENGTH:
            return note
        return note[:_NOTE_LENGTH].rpartition("\n")[0] + f"\n\nThe whole table is in {_TABLE}."

    def _headline(self) -> str:
        cells = self._plan.cells
        outcomes = Counter(map(self._outcome, cells))
        head = f"{outcomes['finished']} of {len(cells)} cells finished."
        if self._plan.search:
            counts = ", ".join(f"{count} {outcome}" for outcome, count in outcomes.most_common())
            head = f"{format_count(len(cells), 'trial')}: {counts}." if counts else "No trial yet."
        best = self._best()
        if best is None:
            return head
        beside = ""
        if self._metric in self._plan.baseline:
            constant = format_value(self._metric, self._plan.baseline[self._metric])
            beside = f" (constant predictor {constant})"
        # MLflow's table shows some thirty characters of it, as they are written.
        score = figure(self._metric, self._value(best))
        return f"Best: {best.cell_id}, {score}{beside}. {head}"

    def _links(self) -> str:
        runs = [run for cell in self._ranked() if (run := self._runs.find(cell.cell_id))]
        ids = [run.run_id for run in runs[:_COMPARED]]
        experiment = self._runs.experiment_id
        more = {"Best cell": run_page(experiment, ids[0])} if ids else {}
        if len(ids) > 1:
            more[f"Compare the best {len(ids)}"] = comparison_page(experiment, ids)
        return description_links(experiment, **more)

    def _best(self) -> CellRecord | None:
        return next(iter(self._ranked()), None)

    def _ranked(self) -> list[CellRecord]:
        """The finished cells from the best to the worst, of equal ones the first first."""
        finished = (cell for cell in self._ended.values() if cell.outcome == "finished")
        return sorted(
            (cell for cell in finished if math.isfinite(self._value(cell))),
            key=self._value,
            reverse=higher_is_better(self._metric),
        )

    def _value(self, cell: CellRecord) -> float:
        return cell.metrics.get(self._metric, math.nan)

    def _grid(self) -> GridTable:
        """The cells as the published table."""
        rows = [
            CellRow(
                cell_id=cell.cell_id,
                model=cell.params["model"] + (" fine-tuned" if cell.parent_model else ""),
                head=cell.params.get("head", "relu"),
                lr=float(cell.params["lr"]),
                epochs=cell.epochs,
                metrics=self._ended[cell.cell_id].metrics if cell.cell_id in self._ended else {},
                outcome=self._outcome(cell),
                published_epochs=cell.published_epochs,
                dataset=self._plan.dataset,
            )
            for cell in self._plan.cells
        ]
        return GridTable(self._plan.task, rows, self._plan.baseline)

    def _outcome(self, cell: PlannedCell) -> str:
        if cell.cell_id in self._ended:
            return self._ended[cell.cell_id].outcome
        run = self._runs.find(cell.cell_id)
        return run.tags.get(f"{TAG}outcome", "") if run else "not run"


def _spaced(table: str) -> str:
    """Pad the cells of tables: the UI sets their columns without any room between."""
    return "\n".join(
        line.replace(" |", "&emsp;|") if line.startswith("| ") else line
        for line in table.splitlines()
    )
