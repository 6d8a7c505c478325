"""`chromatune doctor`."""

from __future__ import annotations

import dataclasses
import json
import sys
from typing import Annotated

import typer

from tuning.cli.console import FAILED, results
from tuning.cli.options import Format, StoragePath, TrackingUri
from tuning.config.schema import LaunchConfig


def register(app: typer.Typer) -> None:
    app.command()(doctor)


def doctor(
    storage_path: StoragePath = None,
    tracking_uri: TrackingUri = None,
    address: Annotated[
        str | None,
        typer.Option(help="Look at the nodes of this Ray cluster, too.", show_default=False),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only tell; change nothing.")] = False,
    format_: Format = "table",
) -> None:
    """Find what is amiss with launches and their runs in MLflow, and mend what can be mended."""
    from tuning.tracking.store import tracking_uri as resolve_uri
    from tuning.workflows.doctor import examine

    where = LaunchConfig(storage_path=storage_path) if storage_path else LaunchConfig()
    findings = []
    uri = resolve_uri(tracking_uri)
    for finding in examine(where.storage_path, uri, dry_run=dry_run, address=address):
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
