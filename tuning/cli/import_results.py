"""`chromatune import-results`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tuning.cli.console import results
from tuning.cli.options import StoragePath, TrackingUri
from tuning.config.schema import LaunchConfig


def register(app: typer.Typer) -> None:
    app.command("import-results")(import_results)


def import_results(
    file: Annotated[
        Path, typer.Argument(help="results.json of `python -m benchmarks.report_on_gpu`.")
    ],
    storage_path: StoragePath = None,
    tracking_uri: TrackingUri = None,
) -> None:
    """Take launches that were trained on another machine into MLflow, marked as imported."""
    from tuning.tracking.store import tracking_uri as resolve_uri
    from tuning.workflows.import_results import import_results as launches_of

    where = LaunchConfig(storage_path=storage_path) if storage_path else LaunchConfig()
    uri = resolve_uri(tracking_uri)
    for imported in launches_of(file, storage_path=where.storage_path, tracking_uri=uri):
        results.print(imported.sentence, soft_wrap=True, markup=False)
