"""What a hyperparameter search found, if there was one."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any

from tuning.display import format_count
from tuning.report._choice import Choice
from tuning.report._document import Block, Cell, Figure, Figures, Row, Table, Text
from tuning.report._store import Archive, StoredLaunch

_FOLDER = "search"
_MOST_COLUMNS = 7


def search_blocks(choice: Choice, archive: Archive) -> list[Block]:
    """The newest search of each task and dataset: its plots and its ten best trials."""
    newest: dict[tuple[str, str], StoredLaunch] = {}
    for data in choice.shown:
        for launch in data.launches:
            if launch.kind == "search":
                newest[launch.dataset, launch.task] = launch
    blocks: list[Block] = []
    for launch in newest.values():
        blocks += _about(launch, archive)
    return blocks


def _about(launch: StoredLaunch, archive: Archive) -> list[Block]:
    outcomes = [cell.outcome for cell in launch.cells]
    ended = ", ".join(f"{outcomes.count(one)} {one}" for one in sorted(set(outcomes)))
    text = f"Search {launch.launch_id}: {format_count(len(outcomes), 'trial')} ({ended or 'none'})."
    blocks: list[Block] = [Text(text)]
    if launch.run_id is None:
        return [*blocks, Text("Its parent run is gone, and its plots with it.", "missing")]
    paths = [name for name in archive.names(launch.run_id, _FOLDER) if name.endswith(".png")]
    figures = []
    for path in paths:
        content = archive.file(launch.run_id, path)
        title = PurePosixPath(path).stem.replace("_", " ").replace("-", " ")
        if content is not None:
            name = f"search-{launch.task}-{PurePosixPath(path).stem}"
            figures.append(Figure(name, f"Search: {title}.", content, title, width="half"))
    if figures:
        blocks.append(Figures(tuple(figures)))
    else:
        blocks.append(Text("The store holds no plots of this search.", "missing"))
    table = _top_ten(launch, archive)
    return [*blocks, table] if table else blocks


def _top_ten(launch: StoredLaunch, archive: Archive) -> Table | None:
    content = archive.file(str(launch.run_id), f"{_FOLDER}/top10.json")
    try:
        document = json.loads(content) if content else None
    except ValueError:
        return None
    trials = _records(document)
    columns = list(dict.fromkeys(key for trial in trials for key in trial))[:_MOST_COLUMNS]
    if not columns:
        return None
    rows = tuple(
        Row(str(rank), tuple(_cell(trial.get(column)) for column in columns))
        for rank, trial in enumerate(trials[:10], start=1)
    )
    return Table(
        f"The best trials of {launch.launch_id}", "rank", tuple(columns), rows, stacks=True
    )


def _records(document: Any) -> Sequence[Mapping[str, Any]]:
    """The trials of a document: a list of objects, or an object that holds one."""
    if isinstance(document, dict):
        document = next((value for value in document.values() if isinstance(value, list)), [])
    found = document if isinstance(document, list) else []
    return [_flat(trial) for trial in found if isinstance(trial, dict)]


def _flat(trial: Mapping[str, Any]) -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in trial.items():
        if isinstance(value, dict):
            flat |= _flat(value)
        else:
            flat[str(key)] = value
    return flat


def _cell(value: Any) -> Cell:
    if value is None:
        return Cell("–", missing=True)
    return Cell(f"{value:.4g}" if isinstance(value, float) else str(value))
