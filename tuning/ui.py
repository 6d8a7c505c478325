"""The MLflow UI on the tracking store."""

from __future__ import annotations

import os
import socket
import sys
from pathlib import Path
from typing import NoReturn

from tuning.errors import ChromatuneError

_HOST = "127.0.0.1"


def check_servable(tracking_uri: str, port: int) -> None:
    """Raise ChromatuneError if the port is taken or `tracking_uri` is a server with its own UI."""
    if tracking_uri.startswith(("http://", "https://")):
        raise ChromatuneError(
            f"{tracking_uri} is an MLflow server already: open that address in a browser"
        )
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((_HOST, port))
        except OSError as error:
            raise ChromatuneError(
                f"port {port} on {_HOST} cannot be used ({error.strerror}): choose another "
                f"with --port"
            ) from None


def serve_ui(tracking_uri: str, port: int) -> NoReturn:
    """Turn this process into MLflow's server on loopback; returns never."""
    # One worker without background jobs takes a quarter of the memory and serves one person well.
    os.environ.setdefault("MLFLOW_SERVER_ENABLE_JOB_EXECUTION", "false")
    command = [sys.executable, "-m", "mlflow", "server", "--host", _HOST, "--port", str(port)]
    command += ["--workers", "1", "--backend-store-uri", tracking_uri]
    if tracking_uri.startswith("sqlite:///"):
        # Only for experiments that are made in the UI: ours name their own place.
        folder = Path(tracking_uri.removeprefix("sqlite:///")).parent / "artifacts"
        command += ["--default-artifact-root", folder.as_uri()]
    os.execv(sys.executable, command)
