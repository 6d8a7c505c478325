"""Saved views of an experiment: which runs, columns and charts MLflow's UI opens it with.

A view is a tag of the experiment, as the UI's own "Save view" writes it. The UI lists it under
"Views" on the experiment's page, and it has an address of its own.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from tuning.tracking.runs import TAG
from tuning.tracking.ui.charts import charts
from tuning.training.tasks import CRITERIA

CELLS, BEST, LAUNCHES = "cells", "best", "launches"
_TAG = "mlflow.sharedViewState."
# What the UI shows as a view's age; fixed, so that writing a view again changes nothing.
_SAVED = 1767225600000
_SETTINGS = ("model", "head", "lr", "epochs")
_SHOWN = 9
_NARROW = 88
_LAUNCHED = ("models", "heads", "lrs", "epochs", "cells")
_NAME, _CREATED, _DURATION = "attributes.`Run Name`", "runDateAndNestInfo", "duration"
_DESCRIPTION, _OUTCOME = "attributes.`Description`", f"tags.`{TAG}outcome`"


def view_tags(task: str, searched: Sequence[str] = ()) -> dict[str, str]:
    """Experiment tags with two views: the cells with the best first, and the launches.

    `searched` are the parameters that a search varies; the cells are then compared by those.
    """
    every_cell = f"tags.`{TAG}cell_id` LIKE '%'"
    # What differs between the cells of the published grids.
    varied = ["head" if CRITERIA[task].predicts_planes else "model", "lr", "epochs"]
    view = _cells_view(task, every_cell, searched or varied)
    return {
        f"{_TAG}{CELLS}": _envelope("Cells, best first", view),
        f"{_TAG}{LAUNCHES}": _envelope("Launches", _launches_view(task)),
    }


def best_view_tag(task: str, run_ids: Sequence[str], differing: Sequence[str]) -> tuple[str, str]:
    """The experiment tag with a view of these runs alone: curves, differences, pictures.

    `differing` are the parameters in which they differ.
    """
    ids = ", ".join(f"'{run_id}'" for run_id in run_ids)
    view = _cells_view(task, f"attributes.run_id IN ({ids})", differing, is_comparison=True)
    return f"{_TAG}{BEST}", _envelope(f"Best {len(run_ids)}", view)


def _cells_view(
    task: str, query: str, settings: Sequence[str], *, is_comparison: bool = False
) -> dict[str, Any]:
    criterion = CRITERIA[task]
    shown = list(dict.fromkeys([*_SETTINGS, *settings]))[:_SHOWN]
    scores = [*(f"val_{name}" for name in criterion.headline), f"test_{criterion.name}"]
    columns = [*_columns("metrics", scores), *_columns("params", shown), _OUTCOME]
    return {
        **_view(query, f"metrics.`val_{criterion.name}`"),
        "orderByAsc": not criterion.higher_is_better,
        "selectedColumns": [*columns, "attributes.`Duration`"],
        "columnOrder": [_NAME, *columns, _DURATION, _CREATED],
        "columnWidths": {_NAME: 250, _OUTCOME: 150, **dict.fromkeys(columns[:-1], _NARROW)},
        **charts(task, settings[:_SHOWN], scores, is_comparison=is_comparison),
    }


def _launches_view(task: str) -> dict[str, Any]:
    name = CRITERIA[task].name
    columns = [
        *_columns("metrics", [f"best_val_{name}", f"baseline_val_{name}"]),
        *_columns("params", _LAUNCHED),
    ]
    return {
        # Sorted by their time, cells are folded up under their launch.
        **_view("", "attributes.start_time"),
        "selectedColumns": [_DESCRIPTION, *columns, "attributes.`Duration`"],
        "columnOrder": [_NAME, _DESCRIPTION, *columns, _DURATION, _CREATED],
        "columnWidths": {_NAME: 410},
    }


def _view(query: str, order: str) -> dict[str, Any]:
    return {
        "searchFilter": query,
        "orderByKey": order,
        "orderByAsc": False,
        "startTime": "ALL",
        "lifecycleFilter": "Active",
        "datasetsFilter": [],
        "modelVersionFilter": "All Runs",
        "runsHiddenMode": "FIRST_10_RUNS",
    }


def _columns(kind: str, names: Sequence[str]) -> list[str]:
    return [f"{kind}.`{name}`" for name in names]


def _envelope(name: str, state: Mapping[str, Any]) -> str:
    times = {"createdAt": _SAVED, "updatedAt": _SAVED}
    return json.dumps({"name": name, **times, "state": json.dumps(state)})
