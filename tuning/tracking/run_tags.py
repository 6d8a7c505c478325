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
    """Tags of the data, the command, the commit and the user's files of a launch's document."""
    tags = {
        f"{TAG}dataset_digest": str(document["dataset_digest"]),
        "mlflow.source.name": str(document.get("command") or "chromatune"),
        "mlflow.source.type": "LOCAL",
    }
    if document.get("git_commit"):
        tags["mlflow.source.git.commit"] = str(document["git_commit"])
    if files := document.get("code"):
        tags[f"{TAG}code"] = ", ".join(f"{f['name']} (sha256 {f['digest'][:12]})" for f in files)
    return tags
