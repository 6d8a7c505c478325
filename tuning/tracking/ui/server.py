"""Serves the MLflow UI on the tracking store: to this machine, or to others that log in."""

from __future__ import annotations

import configparser
import dataclasses
import http.client
import os
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from tuning.errors import ChromatuneError
from tuning.utils.hosts import is_loopback

LOOPBACK = "127.0.0.1"
_ADMIN = "admin"
_PASSWORD = "MLFLOW_AUTH_ADMIN_PASSWORD"
_SHORTEST_PASSWORD = 12  # MLflow's own rule
_POLL_S = 0.2
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@dataclasses.dataclass(frozen=True)
class Address:
    """Where the UI listens; `allowed_hosts` are the hostnames accepted in requests."""

    host: str
    port: int
    allowed_hosts: tuple[str, ...]
    needs_login: bool

    @property
    def url(self) -> str:
        return f"http://{_bracketed(self.allowed_hosts[0])}:{self.port}"


def check_address(host: str, port: int, allowed_hosts: Sequence[str]) -> Address:
    """Return an address that may be served; ChromatuneError if it is unsafe or in use.

    Beyond the loopback interface, a password in MLFLOW_AUTH_ADMIN_PASSWORD and the hostnames of
    this machine are required: without them a web page could reach the server through a hostname of
    its own.
    """
    is_open = not is_loopback(host)
    if is_open:
        _check_open(host, allowed_hosts)
    names = [*allowed_hosts] if is_open else [host, *allowed_hosts]
    unique = tuple(dict.fromkeys([*names, "localhost", LOOPBACK]))
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise ChromatuneError(
                f"port {port} on {host} cannot be used ({error.strerror}): choose another with "
                f"--port"
            ) from None
    return Address(host, port, unique, needs_login=is_open)


def serve_ui(tracking_uri: str, address: Address, when_ready: Callable[[], None]) -> None:
    """Serve the UI until Ctrl-C; `when_ready` is called when it answers.

    Raises ChromatuneError if the server exits by itself.
    """
    with tempfile.TemporaryDirectory() as scratch:
        # A process group of its own: otherwise MLflow would get Ctrl-C twice, from us and from the
        # terminal, and stop in the middle of its shutdown.
        server = subprocess.Popen(
            _command(tracking_uri, address),
            env=_environment(tracking_uri, address, Path(scratch)),
            stdout=sys.stderr,
            process_group=0,
        )
        stopped = threading.Event()

        def stop(*_: object) -> None:
            stopped.set()
            server.terminate()

        for number in _SIGNALS:
            signal.signal(number, stop)
        try:
            while server.poll() is None and not _answers(address):
                time.sleep(_POLL_S)
            if server.poll() is None:
                when_ready()
            status = server.wait()
        finally:
            server.terminate()
            server.wait()
    if not stopped.is_set():
        raise ChromatuneError(f"MLflow's server exited with status {status}")


def _check_open(host: str, allowed_hosts: Sequence[str]) -> None:
    password = os.environ.get(_PASSWORD, "")
    if len(password) < _SHORTEST_PASSWORD:
        fault = "is too short" if password else "is not set"
        raise ChromatuneError(
            f"--host {host} accepts other machines, but {_PASSWORD} {fault}: set it to a password "
            f"of at least {_SHORTEST_PASSWORD} characters, for the user admin"
        )
    if not allowed_hosts or any("*" in name for name in allowed_hosts):
        raise ChromatuneError(
            f"--host {host} accepts other machines: list the hostnames accepted in requests, such "
            f"as --allowed-hosts {socket.gethostname()} (no wildcards)"
        )


def _command(tracking_uri: str, address: Address) -> list[str]:
    names = [_bracketed(name) for name in address.allowed_hosts]
    # A browser sends the port too, and through a tunnel or a proxy it may be another.
    hosts = [form for name in names for form in (name, f"{name.replace('[', '[[]')}:*")]
    origins = [f"{scheme}://{host}" for host in hosts for scheme in ("http", "https")]
    command = [sys.executable, "-m", "mlflow", "server"]
    command += ["--app-name", "basic-auth"] if address.needs_login else []
    command += ["--host", address.host, "--port", str(address.port), "--workers", "1"]
    command += ["--allowed-hosts", ",".join(hosts), "--cors-allowed-origins", ",".join(origins)]
    command += ["--uvicorn-opts", "--log-level warning"]
    if folder := _sqlite_folder(tracking_uri):
        # Only for experiments created in the UI: ours have their own location.
        command += ["--default-artifact-root", (folder / "artifacts").as_uri()]
    return command


def _environment(tracking_uri: str, address: Address, scratch: Path) -> dict[str, str]:
    defaults = {
        # One worker without background jobs takes a quarter of the memory.
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        # MLflow uses deprecated parts of its dependencies.
        "PYTHONWARNINGS": "ignore",
    }
    if address.needs_login:
        defaults["MLFLOW_FLASK_SERVER_SECRET_KEY"] = secrets.token_hex(32)
        defaults["MLFLOW_AUTH_CONFIG_PATH"] = str(_write_login(tracking_uri, scratch))
    # Not in the command line, which other users of the machine see: it may hold a password.
    stores = dict.fromkeys(("MLFLOW_BACKEND_STORE_URI", "MLFLOW_REGISTRY_STORE_URI"), tracking_uri)
    return {**defaults, **os.environ, **stores}


def _write_login(tracking_uri: str, scratch: Path) -> Path:
    """Configure MLflow's login: users are kept beside the store, their passwords hashed.

    The administrator's password is what MLFLOW_AUTH_ADMIN_PASSWORD says now, also if the database
    of users holds an older one, which MLflow would keep.
    """
    # Imported here, because it takes seconds and only the login needs it.
    from mlflow.server.auth.sqlalchemy_store import SqlAlchemyStore

    users = (_sqlite_folder(tracking_uri) or Path("mlruns").absolute()) / "users.db"
    users.parent.mkdir(parents=True, exist_ok=True)
    users.touch(mode=0o600)
    database = f"sqlite:///{users}"
    if users.stat().st_size:
        accounts = SqlAlchemyStore()
        accounts.init_db(database)
        accounts.update_user(_ADMIN, password=os.environ[_PASSWORD])
    config = configparser.ConfigParser(interpolation=None)
    config["mlflow"] = {
        "default_permission": "READ",
        "database_uri": database.replace("%", "%%"),
        "admin_username": _ADMIN,
        "authorization_function": "mlflow.server.auth:authenticate_request_basic_auth",
    }
    path = scratch / "login.ini"
    with path.open("w", encoding="utf-8") as file:
        config.write(file)
    return path


def _sqlite_folder(tracking_uri: str) -> Path | None:
    if not tracking_uri.startswith("sqlite:///"):
        return None
    return Path(tracking_uri.removeprefix("sqlite:///")).parent


def _answers(address: Address) -> bool:
    host = LOOPBACK if address.host == "0.0.0.0" else address.host
    connection = http.client.HTTPConnection(host, address.port, timeout=2)
    try:
        connection.request("GET", "/health")
        return connection.getresponse().status < 500
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host
