"""What is set before Ray is imported, seen from processes of their own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

TOKEN_VARIABLES = ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH")
SHOW = "import json, os; print(json.dumps({name: os.environ.get(name) for name in %r}))"
STRANGER = """
import sys
from ray.exceptions import AuthenticationError
from ray._raylet import GcsClient
try:
    GcsClient(address=sys.argv[1]).internal_kv_keys(b"", None)
except AuthenticationError:
    print("refused")
else:
    print("let in")
"""


@pytest.fixture
def home(tmp_path: Path) -> dict[str, str]:
    """The environment of a user who has set nothing about Ray."""
    kept = {name: value for name, value in os.environ.items() if name not in TOKEN_VARIABLES}
    return {**kept, "HOME": str(tmp_path)}


def seen(environment: dict[str, str], *, before: str = "") -> dict[str, str | None]:
    """Ray's settings in a new process after the command's modules were imported."""
    code = f"{before}\nfrom tuning.utils import environment\nenvironment.set_defaults()\n"
    done = subprocess.run(
        [sys.executable, "-c", code + SHOW % (TOKEN_VARIABLES,)],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    shown: dict[str, str | None] = json.loads(done.stdout.splitlines()[-1])
    return shown


def test_a_local_ray_gets_a_token_that_nobody_else_knows(home: dict[str, str]) -> None:
    first, second = seen(home), seen(home)
    assert first["RAY_AUTH_MODE"] == "token"
    assert len(first["RAY_AUTH_TOKEN"] or "") == 64
    assert first["RAY_AUTH_TOKEN"] != second["RAY_AUTH_TOKEN"]


def test_the_users_own_token_stays(home: dict[str, str], tmp_path: Path) -> None:
    assert seen({**home, "RAY_AUTH_TOKEN": "t"})["RAY_AUTH_TOKEN"] == "t"
    assert seen({**home, "RAY_AUTH_TOKEN_PATH": "/t"})["RAY_AUTH_TOKEN"] is None
    (tmp_path / ".ray").mkdir()
    (tmp_path / ".ray/auth_token").write_text("0" * 64)
    assert seen(home) == {**dict.fromkeys(TOKEN_VARIABLES), "RAY_AUTH_MODE": "token"}


def test_a_ray_imported_before_is_left_as_it_is(home: dict[str, str]) -> None:
    """It has read the mode: daemons that ask for a token would refuse their own driver."""
    assert set(seen(home, before="import ray").values()) == {None}


@pytest.mark.slow
def test_a_stranger_on_the_machine_is_refused(home: dict[str, str]) -> None:
    driver = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "from tuning.utils import environment\n"
            "environment.set_defaults()\n"
            "import ray\n"
            'ray.init("local", num_cpus=1, include_dashboard=False, log_to_driver=False)\n'
            "print(ray.get_runtime_context().gcs_address, flush=True)\n"
            "input()",
        ],
        env=home,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert driver.stdout
    try:
        address = driver.stdout.readline().strip()
        asked = {
            name: subprocess.run(
                [sys.executable, "-c", STRANGER, address],
                env={**home, **settings},
                capture_output=True,
                text=True,
                check=True,
            ).stdout.strip()
            for name, settings in {
                "without a token": {"RAY_AUTH_MODE": "disabled"},
                "with another token": {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "f" * 64},
            }.items()
        }
    finally:
        driver.communicate("\n", timeout=60)
    assert driver.returncode == 0
    assert asked == {"without a token": "refused", "with another token": "refused"}
