"""Addresses of pages in the MLflow UI, relative to where it is served."""

from __future__ import annotations

import json
from collections.abc import Sequence
from urllib.parse import quote, urlencode

# Without it MLflow shows experiments as it would those of language models.
_FOR_TRAINING = {"workflowType": "machine_learning"}


def experiment_page(experiment_id: str, view: str, *, charts: bool = False) -> str:
    """The runs of an experiment in one of its saved views, as a table or as charts."""
    mode = {"compareRunsMode": "CHART"} if charts else {}
    return _page(f"experiments/{experiment_id}/runs", {"viewStateShareKey": view, **mode})


def description_links(experiment_id: str, **more: str) -> str:
    """Links to the pages of an experiment's cells, and `more` by title, in one line of Markdown."""
    links = {
        "Cells, best first": experiment_page(experiment_id, "cells"),
        "Charts": experiment_page(experiment_id, "cells", charts=True),
        **more,
    }
    return " · ".join(f"[{title}]({address})" for title, address in links.items())


def run_page(experiment_id: str, run_id: str) -> str:
    return _page(f"experiments/{experiment_id}/runs/{run_id}")


def comparison_page(experiment_id: str, run_ids: Sequence[str]) -> str:
    """Runs of one experiment side by side: parameters, metrics, pictures."""
    lists = {"runs": json.dumps(list(run_ids)), "experiments": json.dumps([experiment_id])}
    return _page("compare-runs", lists)


def version_page(name: str, version: int | str) -> str:
    return _page(f"models/{quote(name)}/versions/{version}")


def artifact(run_id: str, path: str) -> str:
    """A file of a run itself, such as a picture to be shown within a description."""
    return "get-artifact?" + urlencode({"path": path, "run_uuid": run_id})


def _page(route: str, query: dict[str, str] | None = None) -> str:
    return f"#/{route}?" + urlencode({**(query or {}), **_FOR_TRAINING}, quote_via=quote)
