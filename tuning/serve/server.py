"""The server's life: its socket, its settings, its end."""

from __future__ import annotations

import os
import socket
import warnings
from typing import NoReturn

from tuning.errors import ChromatuneError
from tuning.serve.app import create_app
from tuning.serve.model_cache import ModelCache
from tuning.serve.settings import ServeSettings

# Beyond the pictures that are held, connections for the page and for refusals.
_CONNECTIONS = 200
_LAST_ANSWERS_S = 5


def open_socket(host: str, port: int) -> socket.socket:
    """Take the port, or any free one for 0; ChromatuneError if it cannot be had."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, kind, protocol)
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
            # From here on whoever connects waits, instead of being turned away.
            listener.listen()
        except OSError:
            listener.close()
            raise
    except OSError as error:
        raise ChromatuneError(
            f"port {port} on {host} cannot be used ({error.strerror}): choose another with --port"
        ) from None
    return listener


def address_of(listener: socket.socket) -> str:
    """The address to open in a browser on this machine."""
    host, port = listener.getsockname()[:2]
    if host in ("0.0.0.0", "::"):
        host = "127.0.0.1"
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"


def run_server(listener: socket.socket, cache: ModelCache, settings: ServeSettings) -> NoReturn:
    """Serve until Ctrl-C, which raises KeyboardInterrupt once the last answers are out."""
    import uvicorn

    # Refused pictures are told to those who sent them; what Pillow says on the way is noise.
    warnings.filterwarnings("ignore", module="PIL")
    config = uvicorn.Config(
        create_app(cache, settings),
        log_level="warning",
        access_log=False,
        server_header=False,
        limit_concurrency=_CONNECTIONS,
        timeout_graceful_shutdown=_LAST_ANSWERS_S,
    )
    uvicorn.Server(config).run(sockets=[listener])
    raise KeyboardInterrupt  # uvicorn ends well on it and keeps it to itself


def default_workers() -> int:
    """Pictures to work on at once: decoding and encoding use one core each."""
    return min(4, len(os.sched_getaffinity(0)))
