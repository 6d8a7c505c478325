"""`chromatune doctor`."""

from __future__ import annotations

import dataclasses
import sys
from typing import Annotated

from tuning.cli.console import FAILED, log_line, print_document, results
from tuning.cli.options import (
    Format,
    Imports,
    StoragePath,
    TrackingUri,
    TrustCode,
    option,
    resolve_storage,
    resolve_uri,
)


def doctor(
    storage_path: StoragePath = None,
    tracking_uri: TrackingUri = None,
    dry_run: Annotated[bool, option("Report only, change nothing.", "--dry-run")] = False,
    import_: Imports = None,
    trust_code: TrustCode = False,
    format_: Format = "table",
) -> None:
    """Find and fix what killed launches left behind: incomplete files, cells missing in MLflow."""
    from tuning.config.imports import allow_code
    from tuning.training.devices import bfloat16_unit
    from tuning.workflows.doctor import examine

    allow_code(import_ or (), trust=trust_code)
    findings = []
    storage, uri = resolve_storage(storage_path), resolve_uri(tracking_uri)
    for finding in examine(storage, uri, dry_run=dry_run):
        findings.append(finding)
        if format_ == "table":
            line = f"{finding.status:>9}  {finding.where}: {finding.problem}: {finding.action}"
            results.print(line, soft_wrap=True, markup=False)
    if format_ == "json":
        print_document([dataclasses.asdict(finding) for finding in findings])
    elif not findings:
        results.print("no problems found")
    if unit := bfloat16_unit():
        log_line(
            f"this CPU has {unit}: `precision: bfloat16` may train faster "
            "(`chromatune search --dry-run --time-it` measures it)"
        )
    if any(finding.status not in ("fixed", "noted") for finding in findings):
        sys.exit(FAILED)
