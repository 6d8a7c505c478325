"""What the hyperparameter searches found."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any

from tuning.display.formatting import format_count, format_value, metric_heading
from tuning.display.table import Cell, Row, Table
from tuning.report._document import Block, Figure, Text
from tuning.report._images import whole_picture
from tuning.report._selection import Choice
from tuning.tracking.records import Archive, StoredLaunch

_FOLDER = "search"


def search_blocks(choice: Choice, archive: Archive) -> list[Block]:
    """The newest search of each task and dataset: its plots and its ten best trials."""
    newest: dict[tuple[str, str], StoredLaunch] = {}
    for data in choice.shown:
        for launch in data.by_kind("search"):
            newest[launch.dataset, launch.task] = launch
    return [block for launch in newest.values() for block in _about(launch, archive)]


def _about(launch: StoredLaunch, archive: Archive) -> list[Block]:
    outcomes = [cell.outcome for cell in launch.cells]
    ended = ", ".join(f"{outcomes.count(name)} {name}" for name in sorted(set(outcomes)))
    text = f"Search {launch.launch_id}: {format_count(len(outcomes), 'trial')} ({ended or 'none'})."
    blocks: list[Block] = [Text(text)]
    if launch.run_id is None:
        return [*blocks, Text("Its parent run is gone, and its plots with it.", "missing")]
    figures = []
    for path in archive.names(launch.run_id, _FOLDER):
        content = whole_picture(archive.file(launch.run_id, path)) if ".png" in path else None
        if content is not None:
            stem = PurePosixPath(path).stem
            title = stem.replace("_", " ").replace("-", " ")
            name = f"search-{launch.task}-{stem}"
            figures.append(Figure(name, f"Search: {title}.", content, title))
    blocks += figures
    if not figures:
        blocks.append(Text("The store holds no plots of this search.", "missing"))
    table = _top_ten(launch, archive)
    return [*blocks, table] if table else blocks


def _top_ten(launch: StoredLaunch, archive: Archive) -> Table | None:
    """The trials of `top10.json`; None if it is missing or damaged."""
    content = archive.file(str(launch.run_id), f"{_FOLDER}/top10.json")
    try:
        document = json.loads(content) if content else {}
        metrics = [str(objective).partition(":")[0] for objective in document["objectives"]]
        rows = tuple(_row(trial, metrics) for trial in document["trials"])
        baseline = document.get("baseline") or {}
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
    headings = (*map(metric_heading, metrics), "epochs", "ended")
    notes = ["★ no other trial beats it"]
    if metrics and metrics[0] in baseline:
        notes.append(f"Constant predictor: {format_value(metrics[0], baseline[metrics[0]])}")
    title = f"The best trials of {launch.launch_id}"
    return Table(title, "trial", headings, rows, tuple(notes), stacks=True)


def _row(trial: Mapping[str, Any], metrics: Sequence[str]) -> Row:
    values = [
        Cell(format_value(metric, float(value)), winner="all" if trial["in_pareto_set"] else None)
        for metric, value in zip(metrics, trial["values"], strict=False)
    ]
    values += [Cell("–", missing=True)] * (len(metrics) - len(values))
    kept = trial.get("kept_epoch")
    epochs = Cell("–", missing=True) if kept is None else Cell(f"{kept} of {trial['epochs']}")
    settings = ", ".join(
        f"{name} {value:.3g}" if isinstance(value, float) else f"{name} {value}"
        for name, value in trial["params"].items()
    )
    return Row(str(trial["trial"]), (*values, epochs, Cell(str(trial["outcome"]))), (settings,))
