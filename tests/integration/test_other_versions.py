"""A cluster that runs another Ray and Python: one line with both versions, and nothing is left."""

from __future__ import annotations

import platform
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import ray

from tests.processes import kill
from tests.tuning.tracking.reading import free_port

# Ray keeps the versions of a cluster where its drivers read them.
PRETEND = """
import json, sys
from ray._raylet import GcsClient
client, key = GcsClient(address=sys.argv[1]), b"CLUSTER_METADATA"
found = json.loads(client.internal_kv_get(key, b"cluster"))
found |= {"ray_version": "2.9.3", "python_version": "3.10.12"}
client.internal_kv_put(key, json.dumps(found).encode(), True, b"cluster")
"""


@pytest.fixture
def other_cluster() -> Iterator[str]:
    """Address of a cluster of one node with older versions."""
    port = free_port()
    program = str(Path(sys.executable).with_name("ray"))
    options = ["--num-cpus=1", "--node-ip-address=127.0.0.1", "--include-dashboard=false"]
    head = subprocess.Popen(
        [program, "start", "--head", "--block", f"--port={port}", *options],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        words = [sys.executable, "-c", PRETEND, f"127.0.0.1:{port}"]
        until = time.monotonic() + 60
        while subprocess.run(words, capture_output=True, check=False).returncode:
            assert time.monotonic() < until
            time.sleep(1)
        yield f"127.0.0.1:{port}"
    finally:
        kill(head)


@pytest.mark.slow
def test_both_versions_and_a_remedy_are_told(
    other_cluster: str, place: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAY_ADDRESS", other_cluster)
    finished = place.start(*place.grid("regression")).wait()
    assert finished.status == 2
    (line,) = finished.err.splitlines()
    assert f"the Ray cluster at {other_cluster} has Ray 2.9.3 and Python 3.10.12" in line
    assert f"Ray {ray.__version__} and Python {platform.python_version()}: install" in line
    assert "`unset RAY_ADDRESS`" in line
    assert place.launches() == []
