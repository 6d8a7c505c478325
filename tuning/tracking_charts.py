"""Charts of a saved view, in the words of MLflow's UI."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tuning.selection import CRITERIA
from tuning.tracking_images import SHEET

# Where the UI puts a chart of every metric that has none yet.
_REST = "Model metrics"
_TALL = 900


def charts(
    task: str, settings: Sequence[str], scores: Sequence[str], *, is_comparison: bool
) -> dict[str, Any]:
    """Curves of what decides, the settings that led there, pictures; the rest folded up.

    `settings` are the parameters that differ, `scores` metrics to be shown as bars if there are
    any. A comparison also gets a table of the differences.
    """
    metric = f"val_{CRITERIA[task].name}"
    scale = {"scaleType": "log"} if task == "regression" else {}
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
            *(_chart("BAR", score) for score in scores),
        ]
    }
    if is_comparison:
        sections["Differences"] = [_differences()]
    if task == "colorizer":
        pictures = _chart("IMAGE", "pictures", imageKeys=[SHEET], step=0, showRunParams=True)
        sections["Pictures"] = [pictures]
    return {
        "compareRunCharts": [
            {**chart, "metricSectionId": name}
            for name, group in sections.items()
            for chart in group
        ],
        "compareRunSections": [
            _section("Scores by epoch"),
            *(_section(name, columns=1, cardHeight=_TALL) for name in list(sections)[1:]),
            _section(_REST, display=False),
        ],
        # This order is meant; the UI's own is by name.
        "isAccordionReordered": True,
        "hideEmptyCharts": True,
    }


def _differences() -> dict[str, Any]:
    return _chart(
        *("DIFFERENCE", "differences"),
        chartName="Differences",
        compareGroups=["Parameters", "Model metrics"],
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
