"""The server process: its socket, its settings, its end."""

from __future__ import annotations

import socket
import warnings
from typing import NoReturn

from tuning.errors import ChromatuneError
from tuning.serve.app import create_app
from tuning.serve.limits import ServeSettings
from tuning.serve.model_cache import ModelCache

# More than the queue holds, for the page and for refusals.
_CONNECTIONS = 200
_SHUTDOWN_S = 5


def open_socket(host: str, port: int) -> socket.socket:
    """Listen on the port, or any free one for 0; ChromatuneError if it cannot be used."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        # From here on clients wait instead of being turned away.
        return socket.create_server((host, port), family=family)
    except OSError as error:
        reason = str(error.strerror).partition(" (while")[0]
        raise ChromatuneError(
            f"port {port} on {host} cannot be used ({reason}): choose another with --port"
        ) from None


def address_of(listener: socket.socket) -> str:
    """The address to open in a browser on this machine."""
    host, port = listener.getsockname()[:2]
    if host in ("0.0.0.0", "::"):
        host = "127.0.0.1"
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"


def run_server(listener: socket.socket, cache: ModelCache, settings: ServeSettings) -> NoReturn:
    """Serve until Ctrl-C, which raises KeyboardInterrupt once the last responses are sent."""
    import uvicorn

    # Unreadable images are reported to the client; Pillow's warnings about them are noise.
    warnings.filterwarnings("ignore", module="PIL")
    config = uvicorn.Config(
        create_app(cache, settings),
        log_level="warning",
        access_log=False,
        server_header=False,
        limit_concurrency=_CONNECTIONS,
        timeout_graceful_shutdown=_SHUTDOWN_S,
    )
    uvicorn.Server(config).run(sockets=[listener])
    raise KeyboardInterrupt  # uvicorn handles it and returns
