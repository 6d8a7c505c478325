"""optuna-dashboard on the storage of a study: to this machine alone, and only to read.

The dashboard has neither a login nor a check of hostnames, and its forms could delete a study, or
change one so that its search cannot be resumed.
"""

from __future__ import annotations

import signal
import socketserver
import threading
from collections.abc import Callable, Iterable, Sequence
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from optuna.storages import BaseStorage

from tuning.errors import ChromatuneError

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_READS = ("GET", "HEAD")


class _Server(socketserver.ThreadingMixIn, WSGIServer):
    daemon_threads = True


class _Handler(WSGIRequestHandler):
    def log_message(self, format: str, *arguments: Any) -> None:
        """Log no requests."""


def serve_dashboard(
    storage: BaseStorage,
    host: str,
    port: int,
    allowed_hosts: Sequence[str],
    when_ready: Callable[[], None],
) -> None:
    """Serve the dashboard until Ctrl-C; `when_ready` is called when it listens.

    Requests need one of the `allowed_hosts`: another web page could reach the server through a
    hostname of its own. Raises ChromatuneError if optuna-dashboard is not installed.
    """
    try:
        from optuna_dashboard import wsgi
    except ImportError:
        raise ChromatuneError(
            "--study needs optuna-dashboard: pip install 'chromatune[dashboard]'"
        ) from None
    app = read_only(wsgi(storage), allowed_hosts)
    with make_server(host, port, app, _Server, _Handler) as server:

        def stop(*_: object) -> None:
            # It waits for the loop below, which runs in this thread.
            threading.Thread(target=server.shutdown).start()

        for number in _SIGNALS:
            signal.signal(number, stop)
        when_ready()
        server.serve_forever()


def read_only(app: Callable[..., Any], allowed_hosts: Sequence[str]) -> Callable[..., Any]:
    """Wrap a WSGI application: requests that write, or name another host, get status 403."""

    def guarded(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        host = str(environ.get("HTTP_HOST", ""))
        name = host if host.endswith("]") else host.rpartition(":")[0] or host
        if name.strip("[]") in allowed_hosts and environ["REQUEST_METHOD"] in _READS:
            response: Iterable[bytes] = app(environ, start_response)
            return response
        start_response("403 Forbidden", [("Content-Type", "text/plain")])
        return [b"The study can only be read, at the address that the command printed."]

    return guarded
