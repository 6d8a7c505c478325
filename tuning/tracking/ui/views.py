"""The saved view of an experiment: which runs, columns and charts MLflow's UI opens it with.

A view is a tag of the experiment, as the UI's own "Save view" writes it. The UI lists it under
"Views" on the experiment's page, and it has an address of its own.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from tuning.tracking.runs import TAG
from tuning.tracking.ui.images import SHEET
from tuning.training.tasks import CRITERIA

CELLS = "cells"
# Where the UI puts a chart of every metric that has none yet.
_REST = "Model metrics"
_TALL = 900
# What the UI shows as a view's age; fixed, so that writing a view again changes nothing.
_SAVED = 1767225600000
_SETTINGS = ("model", "head", "lr", "epochs")
_SHOWN = 9
_NARROW = 88
_NAME, _CREATED, _DURATION = "attributes.`Run Name`", "runDateAndNestInfo", "duration"
_OUTCOME = f"tags.`{TAG}outcome`"


def cells_view_tag(task: str, searched: Sequence[str] = ()) -> tuple[str, str]:
    """The experiment tag with a view of all cells, the best first.

    `searched` are the parameters that a search varies; the cells are then compared by those.
    """
    state = json.dumps(_cells_view(task, searched))
    times = {"createdAt": _SAVED, "updatedAt": _SAVED}
    view = json.dumps({"name": "Cells, best first", **times, "state": state})
    return f"mlflow.sharedViewState.{CELLS}", view


def _cells_view(task: str, searched: Sequence[str]) -> dict[str, Any]:
    criterion = CRITERIA[task]
    # What differs between the cells of the published grids.
    settings = searched or ["head" if criterion.predicts_planes else "model", "lr", "epochs"]
    shown = list(dict.fromkeys([*_SETTINGS, *settings]))[:_SHOWN]
    scores = [*(f"val_{name}" for name in criterion.headline), f"test_{criterion.name}"]
    columns = [f"metrics.`{name}`" for name in scores]
    columns += [f"params.`{name}`" for name in shown]
    return {
        "searchFilter": f"tags.`{TAG}cell_id` LIKE '%'",
        "orderByKey": f"metrics.`val_{criterion.name}`",
        "orderByAsc": not criterion.higher_is_better,
        "startTime": "ALL",
        "lifecycleFilter": "Active",
        "datasetsFilter": [],
        "modelVersionFilter": "All Runs",
        "runsHiddenMode": "FIRST_10_RUNS",
        "selectedColumns": [*columns, _OUTCOME, "attributes.`Duration`"],
        "columnOrder": [_NAME, *columns, _OUTCOME, _DURATION, _CREATED],
        "columnWidths": {_NAME: 250, _OUTCOME: 150, **dict.fromkeys(columns, _NARROW)},
        **_charts(task, settings[:_SHOWN], scores),
    }


def _charts(task: str, settings: Sequence[str], scores: Sequence[str]) -> dict[str, Any]:
    """Curves of the deciding metric, the settings, bars, pictures; the rest folded up.

    `settings` are the parameters that differ, `scores` the metrics that are shown as bars.
    """
    criterion = CRITERIA[task]
    metric = f"val_{criterion.name}"
    # An error spans orders of magnitude.
    scale = {} if criterion.higher_is_better else {"scaleType": "log"}
    sections = {
        "Scores by epoch": [
            _chart("LINE", metric, selectedMetricKeys=[metric], **scale),
            _chart("LINE", "train_loss", selectedMetricKeys=["train_loss"], scaleType="log"),
            _chart(
                *("PARALLEL", "settings"),
                selectedParams=list(settings),
                selectedMetrics=[metric],
                showAllRuns=True,
            ),
        ],
        "Scores": [_chart("BAR", score) for score in scores],
    }
    shapes: dict[str, dict[str, int]] = {}
    if criterion.predicts_planes:
        pictures = _chart("IMAGE", "pictures", imageKeys=[SHEET], step=0, showRunParams=False)
        sections["Pictures"] = [pictures]
        shapes["Pictures"] = {"columns": 1, "cardHeight": _TALL}
    return {
        "compareRunCharts": [
            {**chart, "metricSectionId": name}
            for name, group in sections.items()
            for chart in group
        ],
        "compareRunSections": [
            *(_section(name, **shapes.get(name, {})) for name in sections),
            _section(_REST, display=False),
        ],
        # Keep this order; the UI's own is by name.
        "isAccordionReordered": True,
        "hideEmptyCharts": True,
    }


def _chart(kind: str, metric: str, **more: Any) -> dict[str, Any]:
    return {
        "type": kind,
        "uuid": f"{kind}-{metric}",
        "metricKey": metric,
        "displayName": metric,
        "runsCountToCompare": 10,
        "deleted": False,
        "isGenerated": False,
        "useGlobalXaxisKey": True,
        "useGlobalLineSmoothing": True,
        "range": {},
        **more,
    }


def _section(name: str, **more: Any) -> dict[str, Any]:
    fixed = {"isReordered": False, "deleted": False, "isGenerated": False}
    return {"uuid": name, "name": name, "display": True, **fixed, **more}
