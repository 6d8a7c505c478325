"""`chromatune reproduce | ui`."""

from __future__ import annotations

from typing import Annotated

import typer

from tuning.cli.console import log
from tuning.cli.options import TrackingUri


def register(app: typer.Typer) -> None:
    app.command()(ui)


def ui(
    tracking_uri: TrackingUri = None,
    port: Annotated[int, typer.Option(help="Port on 127.0.0.1.", min=1, max=65535)] = 5000,
) -> None:
    """Open the MLflow UI on the tracking store."""
    from tuning.tracking_store import prepare_store
    from tuning.tracking_store import tracking_uri as resolve_uri
    from tuning.ui import serve_ui

    uri = resolve_uri(tracking_uri)
    prepare_store(uri)
    log.print(f"MLflow UI: http://127.0.0.1:{port} (Ctrl-C ends it)")
    serve_ui(uri, port)
