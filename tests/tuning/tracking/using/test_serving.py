"""Registered models behind real servers: `chromatune serve` and `mlflow models serve`."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sysconfig
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import requests

from tests.tuning.tracking.reading import free_port, wait_until
from tuning.cli import serve as serve_command
from tuning.inference.predict import Colorizer, chroma_planes
from tuning.tracking.fetch_weights import load_registered

PATIENCE_S = 240
PLANES = np.random.default_rng(0).integers(0, 256, (2, 30, 20), dtype=np.uint8)


@pytest.mark.slow
def test_a_new_champion_is_served_without_a_restart(
    promote: Any, store: str, pictures: Path, start: Any
) -> None:
    promote("faces-colorizer", (0.52, 0.55))
    words = ("tuning", "serve", "--port", "0", "--device", "cpu", "--tracking-uri", store)
    process = start(*words, stderr=subprocess.PIPE, stdout=subprocess.PIPE)
    line = process.stderr.readline()
    found = re.fullmatch(r"Chromatune: (http://127\.0\.0\.1:\d+) \(Ctrl-C stops it\)\n", line)
    assert found is not None, line
    address = found[1]

    def version() -> str:
        answer = requests.post(
            f"{address}/colorize",
            params={"mode": "faces"},
            data=(pictures / "gray.png").read_bytes(),
            timeout=PATIENCE_S,
        )
        assert answer.status_code == 200, answer.text
        return answer.headers["Chromatune-Model-Version"]

    assert version() == "1"
    promote("faces-colorizer", (0.45, 0.6))
    wait_until(lambda: version() == "2", PATIENCE_S)
    missing = requests.post(
        f"{address}/colorize?mode=ncd",
        data=(pictures / "gray.png").read_bytes(),
        timeout=PATIENCE_S,
    )
    assert missing.status_code == 404
    assert "no champion for the mode 'ncd' yet" in missing.json()["detail"]

    os.killpg(process.pid, signal.SIGINT)
    out, err = process.communicate(timeout=PATIENCE_S)
    assert (process.returncode, out, err) == (130, "", "interrupted\n")


def test_open_to_others_it_demands_names_and_a_token(run: Any, store: str) -> None:
    status, out, err = run("serve", "--host", "0.0.0.0", "--tracking-uri", store)
    assert (status, out) == (2, "")
    assert err.startswith("error: --host 0.0.0.0 opens the server to others: it requires --allow")
    assert err.count("\n") == 1


def test_a_missing_package_is_named(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serve_command, "_NEEDED", {"no_such_module": "no-such-package"})
    status, _, err = run("serve")
    assert status == 2
    assert "`chromatune serve` needs no-such-package: pip install 'chromatune[serve]'" in err


@pytest.mark.slow
def test_mlflow_serves_the_registered_models(promote: Any, store: str, start: Any) -> None:
    promote("faces-colorizer", (0.52, 0.55))
    port = free_port()
    uri = "models:/faces-colorizer@champion"
    scripts = sysconfig.get_path("scripts")
    start(
        *("mlflow", "models", "serve", "-m", uri, "--env-manager", "local"),
        *("--host", "127.0.0.1", "--port", str(port)),
        # It starts programs of its environment by name.
        env={"MLFLOW_TRACKING_URI": store, "PATH": f"{scripts}{os.pathsep}{os.environ['PATH']}"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )

    def answers() -> bool:
        with contextlib.suppress(requests.ConnectionError):
            return requests.get(f"http://127.0.0.1:{port}/ping", timeout=PATIENCE_S).ok
        return False

    wait_until(answers, PATIENCE_S)
    body = {"inputs": PLANES.tolist(), "params": {"output": "lab"}}
    answer = requests.post(f"http://127.0.0.1:{port}/invocations", json=body, timeout=PATIENCE_S)
    assert answer.status_code == 200, answer.text
    predictions = np.asarray(answer.json()["predictions"])
    np.testing.assert_array_equal(predictions[..., 0], PLANES)
    colorizer = Colorizer(load_registered(uri, store))
    for plane, made in zip(PLANES, predictions, strict=True):
        planes = np.dstack(chroma_planes(colorizer.predict(plane).ab, *plane.shape))
        np.testing.assert_array_equal(made[..., 1:], planes)
