"""`chromatune serve`."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Annotated

import typer

from tuning.cli.console import log
from tuning.cli.options import Device, TrackingUri
from tuning.errors import ChromatuneError

_NEEDED = {"fastapi": "fastapi", "uvicorn": "uvicorn", "python_multipart": "python-multipart"}


def register(app: typer.Typer) -> None:
    app.command()(serve)


def serve(
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[
        int, typer.Option(help="Port, 0 for any that is free.", min=0, max=65535)
    ] = 8000,
    allowed_host: Annotated[
        list[str] | None,
        typer.Option(
            help="Name or address that others reach the server by; may be given several times.",
            show_default=False,
        ),
    ] = None,
    token_file: Annotated[
        Path | None,
        typer.Option(
            help="File with the token that requests must bear \\[default: of the environment "
            "variable CHROMATUNE_SERVE_TOKEN, else none is needed].",
            show_default=False,
        ),
    ] = None,
    max_megabytes: Annotated[float, typer.Option(help="Largest file.", min=0.001, max=1000)] = 20,
    max_megapixels: Annotated[
        float, typer.Option(help="Largest picture.", min=0.001, max=175)
    ] = 50,
    max_waiting: Annotated[
        int, typer.Option(help="Pictures held at once; others are told to come again.", min=1)
    ] = 16,
    device: Device = "auto",
    tracking_uri: TrackingUri = None,
) -> None:
    """Colorize pictures on a web page, and for programs over HTTP."""
    missing = [name for module, name in _NEEDED.items() if not importlib.util.find_spec(module)]
    if missing:
        raise ChromatuneError(
            f"the page needs {', '.join(missing)}: pip install 'chromatune[serve]'"
        )
    from tuning.serve.settings import ServeSettings, allowed_hosts, read_token

    token = read_token(token_file)
    hosts = allowed_hosts(host, allowed_host or [], token)
    from tuning.serve.model_cache import Shelf
    from tuning.serve.server import address_of, default_workers, open_socket, run_server
    from tuning.tracking.registry.colorizers import how_to_make_champions
    from tuning.tracking.store import open_store
    from tuning.tracking.store import tracking_uri as resolve_uri
    from tuning.training.devices import pick_device

    settings = ServeSettings(
        hosts=hosts,
        token=token,
        max_bytes=round(max_megabytes * 1e6),
        max_pixels=round(max_megapixels * 1e6),
        max_waiting=max_waiting,
        workers=default_workers(),
    )
    where = pick_device(device)
    uri = resolve_uri(tracking_uri)
    with open_socket(host, port) as listener:
        open_store(uri)
        shelf = Shelf(uri, where)
        if not shelf.modes():
            log.print(f"no champion yet: {how_to_make_champions()}", soft_wrap=True, markup=False)
        log.print(f"Chromatune: {address_of(listener)} (Ctrl-C ends it)", soft_wrap=True)
        run_server(listener, shelf, settings)
