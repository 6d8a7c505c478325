"""Tags of runs: where they were trained, on what, by which command and commit."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tuning.tracking.runs import TAG


def environment_tags(document: Mapping[str, Any]) -> dict[str, str]:
    """Tags of the machine and of the versions of packages, each in one line."""
    return {
        f"{TAG}{key}": ", ".join(f"{name} {text}" for name, text in values.items())
        for key in ("hardware", "versions")
        if (values := document.get(key))
    }


def origin_tags(document: Mapping[str, Any]) -> dict[str, str]:
    """Tags of the data, the command and the commit that a launch's document names."""
    tags = {
        f"{TAG}dataset_digest": str(document["dataset_digest"]),
        "mlflow.source.name": str(document.get("command") or "chromatune"),
        "mlflow.source.type": "LOCAL",
    }
    if document.get("git_commit"):
        tags["mlflow.source.git.commit"] = str(document["git_commit"])
    return tags
