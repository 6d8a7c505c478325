"""The charts of a saved view, as MLflow's UI stores them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tuning.tracking.ui.images import SHEET
from tuning.training.tasks import CRITERIA

# Where the UI puts a chart of every metric that has none yet.
_REST = "Model metrics"
_TALL = 900


def charts(
    task: str, settings: Sequence[str], scores: Sequence[str], *, is_comparison: bool
) -> dict[str, Any]:
    """Curves of the deciding metric, the settings, bars, pictures; the rest folded up.

    `settings` are the parameters that differ, `scores` the metrics that are shown as bars. A
    comparison also gets a table of the settings.
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
    if is_comparison:
        sections["Settings"] = [_settings()]
        shapes["Settings"] = {"columns": 1, "cardHeight": 150 + 36 * len(settings)}
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


def _settings() -> dict[str, Any]:
    return _chart(
        *("DIFFERENCE", "settings"),
        chartName="Settings",
        compareGroups=["Parameters"],
        showChangeFromBaseline=False,
        showDifferencesOnly=True,
        baselineColumnUuid="",
    )


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
