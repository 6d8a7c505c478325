"""What the hyperparameter searches found."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any

from tuning.display.formatting import format_count, format_value, metric_heading
from tuning.display.table import Cell, Row, Table
from tuning.report._document import Block, Figure, Text
from tuning.report._places import gather, ranked
from tuning.report._prose import who_wins
from tuning.report._selection import Choice
from tuning.report._showcases import whole_picture
from tuning.tracking.stored_runs import Archive, StoredLaunch
from tuning.training.tasks import CRITERIA

_FOLDER = "search"


def search_blocks(choice: Choice, archive: Archive) -> list[Block]:
    """The newest search of each task and dataset: its plots and its ten best trials."""
    launches = [launch for data in choice.shown for launch in data.by_kind("search")]
    newest = {(launch.dataset, launch.task): launch for launch in launches}
    return [block for launch in newest.values() for block in _about(launch, archive)]


def _about(launch: StoredLaunch, archive: Archive) -> list[Block]:
    outcomes = [cell.outcome for cell in launch.cells]
    ended = ", ".join(f"{outcomes.count(name)} {name}" for name in sorted(set(outcomes)))
    text = f"Search {launch.launch_id}: {format_count(len(outcomes), 'trial')} ({ended or 'none'})."
    if launch.run_id is None:
        return [Text(text), Text("Its parent run is gone, and its plots with it.", "missing")]
    metric = f"val_{CRITERIA[launch.task].name}"
    confirmed = [p for p in gather(launch.finished) if len(p.values(metric)) > 1]
    winners = who_wins(ranked(confirmed, metric), metric)
    figures: list[Block] = []
    for path in archive.names(launch.run_id, _FOLDER):
        content = whole_picture(archive.file(launch.run_id, path)) if ".png" in path else None
        if content is not None:
            stem = PurePosixPath(path).stem
            title = stem.replace("_", " ").replace("-", " ")
            figures.append(
                Figure(f"search-{launch.task}-{stem}", f"Search: {title}.", content, title)
            )
    missing = [] if figures else [Text("The store holds no plots of this search.", "missing")]
    said = [Text(text), *map(Text, winners)]
    return [*said, *figures, *missing, *_top_ten(launch.run_id, launch.launch_id, archive)]


def _top_ten(run_id: str, launch_id: str, archive: Archive) -> list[Table]:
    """The trials of `top10.json`; nothing if it is missing or damaged."""
    content = archive.file(run_id, f"{_FOLDER}/top10.json")
    try:
        document = json.loads(content or b"{}")
        metrics = [str(objective).partition(":")[0] for objective in document["objectives"]]
        rows = tuple(_row(trial, metrics) for trial in document["trials"])
        constant = (document.get("baseline") or {}).get(metrics[0])
    except (ValueError, KeyError, TypeError, AttributeError):
        return []
    headings = (*map(metric_heading, metrics), "epochs", "ended")
    notes = ["★ no other trial beats it"]
    if constant is not None:
        notes.append(f"Constant predictor: {format_value(metrics[0], constant)}")
    title = f"The best trials of {launch_id}"
    return [Table(title, "trial", headings, rows, tuple(notes), stacks=True)]


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
