"""Descriptions in MLflow's UI: of a launch, of a cell, of a registered version."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from mlflow.entities.model_registry import ModelVersion

from tuning.display.formatting import format_count, format_value, metric_heading, metric_title
from tuning.display.grid_table import CellRow, GridTable
from tuning.display.table import Cell, Row, Table, markdown, row
from tuning.launch.records import CellRecord
from tuning.tracking.plan import LaunchPlan, PlannedCell
from tuning.tracking.records import StoredCell
from tuning.tracking.registry.catalog import Measured
from tuning.tracking.ui.links import (
    artifact,
    comparison_page,
    experiment_page,
    run_page,
    version_page,
)
from tuning.tracking.ui.views import CELLS
from tuning.training.tasks import CRITERIA

NOTE = "mlflow.note.content"
HEATMAP, TABLE = "heatmap.png", "cells.md"
_COMPARED = 5
_RANKED = 12
_RANKED_BY = 5
# A tag holds 8000 characters.
_NOTE_LENGTH = 7900
_LISTED = 20


class LaunchNote:
    """Describes a launch in Markdown, from its plan, the rows of its cells and those that ended."""

    def __init__(
        self, plan: LaunchPlan, rows: Sequence[CellRow], ended: Mapping[str, CellRecord]
    ) -> None:
        self._plan = plan
        self._rows = rows
        self._criterion = CRITERIA[plan.task]
        self._metric = f"val_{self._criterion.name}"
        self._ranked = sorted(
            ended.values(), key=lambda cell: self._criterion.sort_key(self._value(cell))
        )
        self._run_ids = {row.cell_id: row.run_id for row in rows if row.run_id}

    @property
    def best(self) -> CellRecord | None:
        """The best finished cell, of equal ones the first; None while none has finished."""
        finished = (cell for cell in self._ranked if cell.outcome == "finished")
        return next((cell for cell in finished if math.isfinite(self._value(cell))), None)

    def table(self, limit: int | None = None) -> str:
        """The cells: a grid as the published table, a search's trials by rank, at most `limit`."""
        if self._plan.search:
            return self._ranking(limit)
        return GridTable(self._plan.task, self._rows, self._plan.baseline).markdown()

    def text(self, experiment_id: str, run_id: str | None = None) -> str:
        """The whole description: the best cell first, since MLflow folds up the rest.

        `run_id` is the launch's run, if it has a heatmap.
        """
        parts = [self._headline(), self._links(experiment_id)]
        if run_id is not None:
            parts.append(f"![heatmap]({artifact(run_id, HEATMAP)})")
        text = "\n\n".join([*parts, _spaced(self.table(_RANKED))])
        if len(text) <= _NOTE_LENGTH:
            return text
        return text[:_NOTE_LENGTH].rpartition("\n")[0] + f"\n\nThe whole table is in {TABLE}."

    def _headline(self) -> str:
        outcomes = Counter(row.outcome for row in self._rows)
        head = f"{outcomes['finished']} of {len(self._rows)} cells finished."
        if self._plan.search:
            counts = ", ".join(f"{count} {outcome}" for outcome, count in outcomes.most_common())
            trials = format_count(len(self._rows), "trial")
            head = f"{trials}: {counts}." if counts else "No trial yet."
        if self.best is None:
            return head
        beside = ""
        if self._metric in self._plan.baseline:
            constant = format_value(self._metric, self._plan.baseline[self._metric])
            beside = f" (constant predictor {constant})"
        # MLflow's table shows some thirty characters of it, as they are written.
        best = _figure(self._metric, self._value(self.best))
        return f"Best: {self.best.cell_id}, {best}{beside}. {head}"

    def _links(self, experiment_id: str) -> str:
        links = {
            "Cells, best first": experiment_page(experiment_id, CELLS),
            "Charts": experiment_page(experiment_id, CELLS, charts=True),
        }
        ranked = [cell.cell_id for cell in self._ranked]
        top = [self._run_ids[cell_id] for cell_id in ranked if cell_id in self._run_ids]
        if top:
            links["Best cell"] = run_page(experiment_id, top[0])
        if len(top) > 1:
            title = f"Compare the best {min(len(top), _COMPARED)}"
            links[title] = comparison_page(experiment_id, top[:_COMPARED])
        return link_line(links)

    def _ranking(self, limit: int | None) -> str:
        """A search's trials, the best first, with the settings in which they differ."""
        plans = {cell.cell_id: cell for cell in self._plan.cells}
        varied = differing([plans[cell.cell_id].params for cell in self._ranked])
        names = [name for name in varied if name != "epochs"][:_RANKED_BY]
        rows = []
        for cell in self._ranked[:limit]:
            settings = [plans[cell.cell_id].params.get(name, "") for name in names]
            score = format_value(self._metric, self._value(cell))
            rows.append(row(cell.cell_id, score, str(cell.last_epoch), *settings, cell.outcome))
        heads = (metric_title(self._metric), "epochs", *names, "outcome")
        return markdown([Table("", "trial", heads, tuple(rows), left=["outcome"])]) if rows else ""

    def _value(self, cell: CellRecord) -> float:
        return self._criterion.value(cell.metrics, "val_")


def cell_note(launch: LaunchPlan, plan: PlannedCell, cell: CellRecord, sheet_of: str | None) -> str:
    """The description of a cell's run: its score and, if run `sheet_of` has one, its sheet."""
    criterion = CRITERIA[launch.task]
    metric = f"val_{criterion.name}"
    when = f"after {format_count(cell.last_epoch, 'epoch')}"
    if cell.kept_epoch not in (None, cell.last_epoch):
        when = f"at epoch {cell.kept_epoch}, the best of {cell.last_epoch}"
    sentence = f"**{_figure(metric, criterion.value(cell.metrics, 'val_'))}** {when}"
    if cell.outcome == "pruned":
        sentence += f", pruned before its {format_count(plan.epochs, 'epoch')}"
    if metric in launch.baseline:
        constant = format_value(metric, launch.baseline[metric])
        sentence += f"; the constant predictor has {constant}"
    picture = f"\n\n![sheet.png]({artifact(sheet_of, 'sheet.png')})" if sheet_of else ""
    return f"{sentence}.{picture}"


def version_note(cell: StoredCell, measured: Measured) -> str:
    """The description of a registered version: decision, scores, origin, picture."""
    figures = {
        "this model, test": measured.test_metrics,
        f"{measured.rival}, test": measured.rival_metrics,
        "constant predictor, test": measured.constant_metrics,
        "this model, validation": {
            name.replace("val_", "test_"): value for name, value in measured.val_metrics.items()
        },
    }
    columns = [f"test_{name}" for name in CRITERIA[cell.task].headline]
    rows = tuple(
        row(name, *(format_value(key, values[key]) if key in values else "–" for key in columns))
        for name, values in figures.items()
        if values
    )
    scores = markdown([Table("", "", tuple(map(metric_heading, columns)), rows)])
    parts = [f"{cell.name} {measured.decision}.", _spaced(scores), _version_origin(cell)]
    if CRITERIA[cell.task].predicts_planes:
        parts.append(f"![its pictures]({artifact(cell.run_id, 'sheet.png')})")
    return "\n\n".join(parts)


def model_note(name: str, aliases: Mapping[str, str], versions: Iterable[ModelVersion]) -> str:
    """The table of a registered model's versions, the newest first."""
    rows = []
    for version in sorted(versions, key=lambda v: -int(v.version))[:_LISTED]:
        number = int(version.version)
        measured = Measured.of(version.tags)
        names = ", ".join(alias for alias, held in sorted(aliases.items()) if int(held) == number)
        page = Cell(f"version {number}", href=version_page(name, number))
        texts = (Cell(measured.score), Cell(measured.decision))
        rows.append(Row(names, (page, *texts)))
    heads = ("version", "test set", "gate")
    return _spaced(markdown([Table("", "alias", heads, tuple(rows), left=heads)]))


def link_line(links: Mapping[str, str]) -> str:
    """Links by title, in one line."""
    return " · ".join(f"[{title}]({address})" for title, address in links.items())


def _version_origin(cell: StoredCell) -> str:
    run = f"[{cell.name}]({run_page(cell.experiment_id, cell.run_id)})"
    launch = cell.launch_id
    if cell.parent_run_id is not None:
        launch = f"[{launch}]({run_page(cell.experiment_id, cell.parent_run_id)})"
    lines = [
        f"- Trained as {run} of launch {launch}",
        f"- Dataset: {cell.dataset}, digest `{cell.dataset_digest[:12]}`",
    ]
    if cell.parent_model is not None:
        name, _, version = cell.parent_model.removeprefix("models:/").partition("/")
        parent = f"{version}, a cell of {name}"
        if version.isdecimal():
            parent = f"[{name} version {version}]({version_page(name, version)})"
        lines.append(f"- Fine-tuned from {parent}")
    return "\n".join(lines)


def differing(params: Sequence[Mapping[str, str]]) -> list[str]:
    """Names of the parameters in which runs differ."""
    names = dict.fromkeys(name for run_params in params for name in run_params)
    return [name for name in names if len({p.get(name) for p in params}) > 1]


def _spaced(table: str) -> str:
    """Pad the cells of tables: the UI sets their columns without any room between."""
    return "\n".join(
        line.replace(" |", "&emsp;|") if line.startswith("| ") else line
        for line in table.splitlines()
    )


def _figure(metric: str, value: float) -> str:
    """Write a figure with its name and unit: `validation PSNR 28.84 dB`."""
    name, _, unit = metric_title(metric).partition(", ")
    return f"{name} {format_value(metric, value)} {unit}".strip()
