"""`chromatune doctor`."""

from __future__ import annotations

import dataclasses
import json
import sys
from typing import Annotated

from tuning.cli.console import FAILED, results
from tuning.cli.options import (
    Format,
    StoragePath,
    TrackingUri,
    option,
    resolve_storage,
    resolve_uri,
)


def doctor(
    storage_path: StoragePath = None,
    tracking_uri: TrackingUri = None,
    address: Annotated[str | None, option("Ray cluster whose nodes to check as well.")] = None,
    dry_run: Annotated[bool, option("Report only, change nothing.", "--dry-run")] = False,
    format_: Format = "table",
) -> None:
    """Find what is amiss with launches and their runs in MLflow, and mend what can be mended."""
    from tuning.workflows.doctor import examine

    findings = []
    storage, uri = resolve_storage(storage_path), resolve_uri(tracking_uri)
    for finding in examine(storage, uri, dry_run=dry_run, address=address):
        findings.append(finding)
        if format_ == "table":
            mark = {True: "mended", False: "to mend", None: "for you"}[finding.mended]
            line = f"{mark:>8}  {finding.where}: {finding.what}: {finding.remedy}"
            results.print(line, soft_wrap=True, markup=False)
    if format_ == "json":
        print(json.dumps([dataclasses.asdict(finding) for finding in findings], indent=2))
    elif not findings:
        results.print("nothing is amiss")
    if any(not finding.mended for finding in findings):
        sys.exit(FAILED)
