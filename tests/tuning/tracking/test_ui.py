"""`chromatune ui`: a real server on a free port, whom it lets in, and what it refuses."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import requests
from mlflow import MlflowClient

from tests.processes import descendants
from tuning.errors import ChromatuneError
from tuning.tracking.ui.serve import check_address

PATIENCE_S = 480
PASSWORD = "correct horse battery"

Start = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def store(tmp_path: Path, migrated_database: Path) -> str:
    """A store with one experiment of this project that holds two finished cells."""
    uri = f"sqlite:///{tmp_path}/mlruns/mlflow.db"
    (tmp_path / "mlruns").mkdir()
    (tmp_path / "mlruns" / "mlflow.db").write_bytes(migrated_database.read_bytes())
    client = MlflowClient(uri, uri)
    location = (tmp_path / "mlruns" / "artifacts" / "drawn").as_uri()
    about = {"task": "regression", "kind": "grid", "dataset": "drawn"}
    tags = {f"chromatune.{key}": text for key, text in about.items()}
    experiment = client.create_experiment("drawn-regression-grid", location, tags)
    for number in (1, 2):
        cell = {"chromatune.cell_id": f"cell-{number}", "chromatune.outcome": "finished"}
        run = client.create_run(experiment, tags={**tags, **cell}, run_name=f"cell {number}")
        client.log_metric(run.info.run_id, "val_mse", number / 100, step=1)
        client.log_text(run.info.run_id, "the table", "cells.md")
        client.set_terminated(run.info.run_id)
    return uri


@pytest.fixture
def start_ui(start: Start) -> Start:
    """Start `chromatune ui` with these options and environment variables."""

    def begin(*words: str, **environment: str) -> subprocess.Popen[str]:
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        return start("tuning", "ui", *words, env=environment, **pipes)

    return begin


@pytest.fixture
def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::sqlalchemy.exc.SADeprecationWarning")  # MLflow's own queries
def test_the_store_is_served_on_loopback_until_ctrl_c(
    store: str, start_ui: Start, free_port: int
) -> None:
    process = start_ui("--tracking-uri", store, "--port", str(free_port))
    lines = _lines(process, 3)
    address = f"http://127.0.0.1:{free_port}"
    assert lines[0] == f"MLflow UI: {address} (Ctrl-C stops it)"
    assert lines[1].startswith(
        f"drawn-regression-grid, best first: {address}/#/experiments/1/runs?"
    )
    assert "viewStateShareKey=cells" in lines[1]
    assert lines[2].startswith(f"best 2: {address}/#/experiments/1/runs?viewStateShareKey=best")
    assert _listening(free_port) == {"127.0.0.1"}

    assert _ask(free_port, "/").status_code == 200
    (experiment,) = _experiments(free_port).json()["experiments"]
    tags = {tag["key"]: tag["value"] for tag in experiment["tags"]}
    query = {"experiment_ids": [experiment["experiment_id"]]}
    runs = _ask(free_port, "/api/2.0/mlflow/runs/search", query=query).json()
    ids = {one["info"]["run_name"]: one["info"]["run_id"] for one in runs["runs"]}
    best = json.loads(json.loads(tags["mlflow.sharedViewState.best"])["state"])
    order = f"'{ids['cell 1']}', '{ids['cell 2']}'"
    assert best["searchFilter"] == f"attributes.run_id IN ({order})"
    file = _ask(free_port, f"/get-artifact?path=cells.md&run_uuid={ids['cell 1']}")
    assert file.text == "the table"
    # Another web page's address that leads here is no way in.
    assert _ask(free_port, "/", {"Host": "10.evil.example"}).status_code == 403

    server, *_ = descendants(process.pid)
    os.killpg(process.pid, signal.SIGINT)
    out, err = process.communicate(timeout=PATIENCE_S)
    assert (process.returncode, out) == (0, "")
    assert "Traceback" not in err
    assert not _group_lives(server)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::sqlalchemy.exc.SADeprecationWarning")
def test_other_machines_log_in_and_call_it_by_its_name(
    store: str, start_ui: Start, free_port: int
) -> None:
    words = ("--tracking-uri", store, "--port", str(free_port), "--host", "0.0.0.0")
    words += ("--allowed-hosts", "colors.example")
    for password in (PASSWORD, f"another {PASSWORD}"):
        process = start_ui(*words, MLFLOW_AUTH_ADMIN_PASSWORD=password)
        assert _lines(process, 1) == [
            f"MLflow UI: http://colors.example:{free_port} (Ctrl-C stops it)"
        ]
        name = {"Host": f"colors.example:{free_port}"}
        login = {"auth": ("admin", password)}
        own = {"Origin": f"http://colors.example:{free_port}"}
        assert _ask(free_port, "/", name).status_code == 401
        assert _experiments(free_port, name).status_code == 401
        # The password is the one that was set last, not the first one that MLflow was told.
        wrong = f"another {PASSWORD}" if password == PASSWORD else PASSWORD
        assert _experiments(free_port, name, auth=("admin", wrong)).status_code == 401
        assert _experiments(free_port, name | own, **login).status_code == 200
        evil = {"Origin": "http://evil.example"}
        assert _experiments(free_port, name | evil, **login).status_code == 403
        assert _experiments(free_port, {"Host": "evil.example"}, **login).status_code == 403
        process.terminate()
        _, err = process.communicate(timeout=PATIENCE_S)
        assert process.returncode == 0, err
        assert password not in err
    users = Path(store.removeprefix("sqlite:///")).with_name("users.db")
    assert users.stat().st_mode & 0o077 == 0
    assert PASSWORD.encode() not in users.read_bytes()


@pytest.mark.slow
def test_a_port_that_is_taken_is_refused_in_one_line(start_ui: Start, tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        store = f"sqlite:///{tmp_path}/new/mlflow.db"
        process = start_ui("--port", str(port), "--tracking-uri", store)
        out, err = process.communicate(timeout=PATIENCE_S)
    assert (process.returncode, out) == (2, "")
    (line,) = err.splitlines()
    assert line.startswith(f"error: port {port} on 127.0.0.1 cannot be used")
    assert line.endswith("choose another with --port")
    assert list(tmp_path.iterdir()) == []


def test_a_free_port_on_loopback_needs_no_login(free_port: int) -> None:
    address = check_address("127.0.0.1", free_port, [])
    assert address.url == f"http://127.0.0.1:{free_port}"
    assert not address.needs_login
    assert check_address("localhost", free_port, []).needs_login is False


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.7", "colors.example"])
@pytest.mark.parametrize(
    ("password", "names", "fault"),
    [
        (None, ["colors.example"], "MLFLOW_AUTH_ADMIN_PASSWORD is not set"),
        ("short", ["colors.example"], "MLFLOW_AUTH_ADMIN_PASSWORD is too short"),
        (PASSWORD, [], "list the hostnames accepted in requests"),
        (PASSWORD, ["*"], "no wildcards"),
        (PASSWORD, ["colors.example", "*.example"], "no wildcards"),
    ],
)
def test_beyond_loopback_it_requires_a_password_and_hostnames(
    host: str,
    password: str | None,
    names: list[str],
    fault: str,
    free_port: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("MLFLOW_AUTH_ADMIN_PASSWORD", raising=False)
    if password is not None:
        monkeypatch.setenv("MLFLOW_AUTH_ADMIN_PASSWORD", password)
    with pytest.raises(ChromatuneError, match=f"--host {host} accepts other machines.*{fault}"):
        check_address(host, free_port, names)


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


def _group_lives(group: int) -> bool:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(group, 0)
            time.sleep(0.1)
            continue
        return False
    return True
