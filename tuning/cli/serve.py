"""`chromatune serve`."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Annotated

from tuning.cli.console import log, print_line
from tuning.cli.options import (
    AllowedHosts,
    Device,
    Host,
    Imports,
    TrackingUri,
    TrustCode,
    option,
    resolve_uri,
)
from tuning.errors import ChromatuneError
from tuning.serve.limits import ServeSettings

_NEEDED = {"fastapi": "fastapi", "uvicorn": "uvicorn", "python_multipart": "python-multipart"}


def serve(
    host: Host = "127.0.0.1",
    port: Annotated[int, option("Port to listen on, 0 for any free one.", min=0, max=65535)] = 8000,
    allowed_hosts: AllowedHosts = None,
    token_file: Annotated[
        Path | None,
        option(
            "File with the bearer token that requests need [default: the token in "
            "CHROMATUNE_SERVE_TOKEN, if any]."
        ),
    ] = None,
    max_megabytes: Annotated[float, option("Largest file.", min=0.001, max=1000)] = (
        ServeSettings.max_bytes / 1e6
    ),
    max_megapixels: Annotated[float, option("Largest image.", min=0.001, max=175)] = (
        ServeSettings.max_pixels / 1e6
    ),
    max_waiting: Annotated[
        int, option("Queue length; further requests get 503 with Retry-After.", min=1)
    ] = ServeSettings.max_waiting,
    device: Device = "auto",
    tracking_uri: TrackingUri = None,
    import_: Imports = None,
    trust_code: TrustCode = False,
) -> None:
    """Serve the champions: a web page that colorizes images, and its HTTP API."""
    missing = [name for module, name in _NEEDED.items() if not importlib.util.find_spec(module)]
    if missing:
        raise ChromatuneError(
            f"`chromatune serve` needs {', '.join(missing)}: pip install 'chromatune[serve]'"
        )
    from tuning.serve.access import check_hosts, read_token

    token = read_token(token_file)
    hosts = check_hosts(host, allowed_hosts or [], token)
    from tuning.config.imports import allow_code
    from tuning.serve.model_cache import ModelCache
    from tuning.serve.server import address_of, open_socket, run_server
    from tuning.tracking.registry.model_choice import why_no_champion
    from tuning.tracking.store import open_store
    from tuning.training.devices import pick_device

    settings = ServeSettings(
        hosts=hosts,
        token=token,
        max_bytes=round(max_megabytes * 1e6),
        max_pixels=round(max_megapixels * 1e6),
        max_waiting=max_waiting,
    )
    allow_code(import_ or (), trust=trust_code)
    uri = resolve_uri(tracking_uri)
    cache = ModelCache(uri, pick_device(device))
    with open_socket(host, port) as listener:
        open_store(uri)
        if not cache.modes():
            print_line(why_no_champion(uri), log)
        for line in cache.refused():
            print_line(f"not served: {line}", log)
        print_line(f"Chromatune: {address_of(listener)} (Ctrl-C stops it)", log)
        run_server(listener, cache, settings)
