"""`chromatune ui`: a real server on a free port, whom it lets in, and what it refuses."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import requests
from mlflow import MlflowClient

from tests.processes import descendants
from tests.tuning.tracking.reading import all_runs, free_port, wait_until
from tuning.errors import ChromatuneError
from tuning.tracking.ui.server import check_address

PATIENCE_S = 480
PASSWORD = "correct horse battery"

Start = Callable[..., subprocess.Popen[str]]


@pytest.fixture(autouse=True)
def _experiment(tmp_path: Path, client: MlflowClient) -> None:
    """An experiment of this project that holds one finished cell."""
    location = (tmp_path / "mlruns" / "artifacts" / "drawn").as_uri()
    about = {"task": "regression", "kind": "grid", "dataset": "drawn"}
    tags = {f"chromatune.{key}": text for key, text in about.items()}
    experiment = client.create_experiment("drawn-regression-grid", location, tags)
    run = client.create_run(experiment, tags=tags)
    client.log_text(run.info.run_id, "the table", "cells.md")


@pytest.fixture
def start_ui(start: Start) -> Start:
    """Start `chromatune ui` with these options and environment variables."""

    def begin(*words: str, **environment: str) -> subprocess.Popen[str]:
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        return start("tuning", "ui", *words, env=environment, **pipes)

    return begin


@pytest.mark.slow
def test_the_store_is_served_on_loopback_until_ctrl_c(
    store: str, start_ui: Start, client: MlflowClient
) -> None:
    port = free_port()
    process = start_ui("--tracking-uri", store, "--port", str(port))
    address = f"http://127.0.0.1:{port}"
    first, second, _ = _lines(process, 3)
    assert first == f"MLflow UI: {address} (Ctrl-C stops it)"
    page = f"{address}/#/experiments/1/runs?viewStateShareKey=cells"
    assert second.startswith(f"drawn-regression-grid, best first: {page}")
    assert _listening(port) == {"127.0.0.1"}

    assert _ask(port, "/").status_code == 200
    assert len(_experiments(port).json()["experiments"]) == 1
    (run,) = all_runs(client)
    file = _ask(port, f"/get-artifact?path=cells.md&run_uuid={run.info.run_id}")
    assert file.text == "the table"
    # Another web page's address that leads here is no way in.
    assert _ask(port, "/", {"Host": "10.evil.example"}).status_code == 403

    server, *_ = descendants(process.pid)
    os.killpg(process.pid, signal.SIGINT)
    out, err = process.communicate(timeout=PATIENCE_S)
    assert (process.returncode, out) == (0, "")
    assert "Traceback" not in err
    wait_until(lambda: not _lives(server))


@pytest.mark.slow
def test_other_machines_log_in_and_call_it_by_its_name(store: str, start_ui: Start) -> None:
    port = free_port()
    words = ("--tracking-uri", store, "--port", str(port), "--host", "0.0.0.0")
    words += ("--allowed-hosts", "colors.example")
    for password in (PASSWORD, f"another {PASSWORD}"):
        process = start_ui(*words, MLFLOW_AUTH_ADMIN_PASSWORD=password)
        assert _lines(process, 1) == [f"MLflow UI: http://colors.example:{port} (Ctrl-C stops it)"]
        name = {"Host": f"colors.example:{port}"}
        login = {"auth": ("admin", password)}
        own = {"Origin": f"http://colors.example:{port}"}
        assert _ask(port, "/", name).status_code == 401
        assert _experiments(port, name).status_code == 401
        # The password is the one that was set last, not the first one that MLflow was told.
        wrong = f"another {PASSWORD}" if password == PASSWORD else PASSWORD
        assert _experiments(port, name, auth=("admin", wrong)).status_code == 401
        assert _experiments(port, name | own, **login).status_code == 200
        evil = {"Origin": "http://evil.example"}
        assert _experiments(port, name | evil, **login).status_code == 403
        assert _experiments(port, {"Host": "evil.example"}, **login).status_code == 403
        process.terminate()
        _, err = process.communicate(timeout=PATIENCE_S)
        assert process.returncode == 0, err
        assert password not in err
    users = Path(store.removeprefix("sqlite:///")).with_name("users.db")
    assert users.stat().st_mode & 0o077 == 0
    assert PASSWORD.encode() not in users.read_bytes()


def test_on_loopback_only_a_free_port_is_needed() -> None:
    port = free_port()
    address = check_address("127.0.0.1", port, [])
    assert (address.url, address.needs_login) == (f"http://127.0.0.1:{port}", False)
    assert not check_address("localhost", port, []).needs_login
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ChromatuneError, match=f"port {port} on .* choose another with --port"):
            check_address("127.0.0.1", port, [])


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "colors.example"])
@pytest.mark.parametrize(
    ("password", "names", "fault"),
    [
        (None, ["colors.example"], "MLFLOW_AUTH_ADMIN_PASSWORD is not set"),
        ("short", ["colors.example"], "MLFLOW_AUTH_ADMIN_PASSWORD is too short"),
        (PASSWORD, [], "list the hostnames accepted in requests"),
        (PASSWORD, ["colors.example", "*.example"], "no wildcards"),
    ],
)
def test_beyond_loopback_it_requires_a_password_and_hostnames(
    host: str,
    password: str | None,
    names: list[str],
    fault: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("MLFLOW_AUTH_ADMIN_PASSWORD", raising=False)
    if password is not None:
        monkeypatch.setenv("MLFLOW_AUTH_ADMIN_PASSWORD", password)
    with pytest.raises(ChromatuneError, match=f"--host {host} accepts other machines.*{fault}"):
        check_address(host, free_port(), names)


def _ask(
    port: int, path: str, headers: dict[str, str] | None = None, query: Any = None, **options: Any
) -> requests.Response:
    """GET a page, or POST a query to MLflow's API."""
    method, url = "GET" if query is None else "POST", f"http://127.0.0.1:{port}{path}"
    return requests.request(method, url, headers=headers, json=query, timeout=PATIENCE_S, **options)


def _experiments(port: int, headers: dict[str, str] | None = None, **options: Any) -> Any:
    query = {"max_results": 5, "filter": "name LIKE 'drawn-%'"}
    return _ask(port, "/api/2.0/mlflow/experiments/search", headers, query, **options)


def _lines(process: subprocess.Popen[str], count: int) -> list[str]:
    """The next lines of a command's results; what it complains of if it ends instead."""
    assert process.stdout is not None
    lines = [process.stdout.readline().rstrip() for _ in range(count)]
    assert all(lines), process.communicate()[1]
    return lines


def _listening(port: int) -> set[str]:
    """Addresses that something listens on at a port, from the kernel's table."""
    found = set()
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        address, state = (line.split()[index] for index in (1, 3))
        number, _, hexadecimal = address.partition(":")
        if state == "0A" and int(hexadecimal, 16) == port:
            found.add(socket.inet_ntoa(bytes.fromhex(number)[::-1]))
    return found


def _lives(group: int) -> bool:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(group, 0)
        return True
    return False
