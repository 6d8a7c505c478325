"""A grid over several machines, which vanish, come late, or are not what they should be."""

from __future__ import annotations

import os
import re
import shutil
import signal
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from chromatune import PACKAGES
from tests.cluster.checks import assert_all_in_mlflow, losses, results, run, wait_until

ROOT = Path(__file__).parents[2]
TINY = ["--heads", "relu", "--lrs", "1e-3", "--epochs", "1"]


def test_a_lost_machine_and_a_new_one_change_nothing(
    cluster: Any,
    make_user: Callable[..., Any],
    make_server: Callable[..., Any],
    figures: Counter[str],
) -> None:
    """A worker node is killed during a trial: the trial resumes on another node from its
    checkpoint, a new node gets work, and the table equals that of one node, bit for bit.
    """
    server = make_server(cluster.head.address, cluster.head.inside)
    server.start()
    alone = make_user("colorizer")
    expected = run(alone, *alone.colorizer())

    user = make_user(
        "colorizer",
        uri=server.uri,
        environment=cluster.head.environment,
        prefix=cluster.head.inside,
    )
    driver = user.start(*user.colorizer("--address", cluster.address))
    lost, other = cluster.nodes[1:]

    def checkpoints() -> set[str]:
        """The trainings that a node can take over."""
        found = Path(user.folder).glob("ray_results/*/*/checkpoint_*/state.json")
        return {path.parents[1].name for path in found}

    def in_mid_trial() -> bool:
        return len(checkpoints()) == 2 and bool(lost.trials() and other.trials())

    wait_until(driver, in_mid_trial, "a checkpoint of the trial on each worker")
    # The other worker is held, or it might have done all the work before the new one has started.
    paused = other.trials()
    for pid in paused:
        os.kill(pid, signal.SIGSTOP)
    begun = checkpoints()
    struck_ms = 1000 * time.time()
    lost.lose_power()
    new = cluster.add()

    wait_until(driver, lambda: bool(new.trials()), "a trial on the new node")
    for pid in paused:
        os.kill(pid, signal.SIGCONT)
    finished = driver.wait()
    assert finished.status == 0, finished.err
    assert "crashed and resumes from its last checkpoint (failure 1)" in finished.err

    assert results(finished) == results(expected)
    cells, reference = user.cells(), alone.cells()
    assert cells.keys() == reference.keys()
    for cell_id, cell in cells.items():
        assert losses(cell) == losses(reference[cell_id])
        assert cell["metrics"] == reference[cell_id]["metrics"]
        if cell["training_id"] in begun:  # not begun anew, wherever it was finished
            assert cell["history"][0]["timestamp"] < struck_ms
    figures.update(assert_all_in_mlflow(user))
    figures.update({"nodes killed": 1, "nodes added": 1, "cells equal": len(cells)})
    hosts = {cell["hostname"] for cell in cells.values()}
    assert new.name in hosts
    assert hosts <= {node.name for node in cluster.nodes[1:]}
    listed = cluster.on_head(["ls", str(cluster.hidden)])
    assert listed.stdout.strip()  # the driver has the data, and no worker


def test_jobs_and_the_environment_reach_the_cluster_and_a_wrong_token_does_not(
    cluster: Any,
    make_user: Callable[..., Any],
    figures: Counter[str],
) -> None:
    """`--address`, `RAY_ADDRESS` and `ray job submit` connect to a cluster that requires a token; a
    wrong token is rejected before anything is trained.
    """
    token = cluster.head.environment
    inside = {"prefix": cluster.head.inside}
    named = make_user("colorizer", environment={**token, "RAY_ADDRESS": cluster.address}, **inside)
    finished = run(named, *named.colorizer(*TINY))
    assert len(finished.cells) == 1

    jobs = make_user("colorizer", environment=token, **inside)
    run(
        jobs,
        # Ray ships the files that git tracks.
        *("--working-dir", str(ROOT), "--", "python", "-m", "tuning"),
        *jobs.colorizer("--address", "auto", *TINY),
        program=["ray", "job", "submit", "--address", "http://127.0.0.1:8265"],
    )
    assert len(jobs.cells()) == 1

    wrong = make_user("colorizer", environment={**token, "RAY_AUTH_TOKEN": "0" * 64}, **inside)
    refused = run(wrong, *wrong.colorizer("--address", cluster.address, *TINY), status=2)
    *rays_own, line = refused.err.splitlines()
    assert f"cannot join a Ray cluster at {cluster.address}" in line
    assert "set RAY_AUTH_MODE and RAY_AUTH_TOKEN as there" in line
    assert all("token is missing or incorrect" in one for one in rays_own)
    assert token["RAY_AUTH_TOKEN"] not in refused.err
    assert wrong.launches() == []
    figures.update({"launches": 2, "refusals": 1, "losses": 0})


def test_what_would_fail_an_hour_later_is_told_before(
    cluster: Any,
    make_user: Callable[..., Any],
    tmp_path: Path,
    figures: Counter[str],
) -> None:
    """Storage that is not shared, another version on a node, and resources that no node has are
    reported before anything is trained.
    """
    on_head = {"environment": cluster.head.environment, "prefix": cluster.head.inside}
    # Every machine has a /dev/shm, and each its own.
    user = make_user("colorizer", storage="/dev/shm/launches", **on_head)
    refused = run(user, *user.colorizer("--address", cluster.address, *TINY), status=2)
    alive = [node for node in cluster.nodes[1:] if node.process is not None]
    lines = refused.err.splitlines()
    assert len(lines) == len(alive), refused.err
    for node in alive:
        (line,) = [one for one in lines if f"node {node.address}: " in one]
        assert "it does not see what the driver writes to /dev/shm/launches/" in line
        assert "mount the same folder there on every node" in line
    assert cluster.on_head(["ls", "/dev/shm/launches"]).stdout == ""

    other = tmp_path / "other"
    for package in ("chromatune", *PACKAGES):
        shutil.copytree(ROOT / package, other / package)
    with (other / "tuning" / "engine.py").open("a") as source:
        source.write("\n# as another commit has it\n")
    stranger = cluster.add(other)
    user = make_user("colorizer", **on_head)
    refused = user.start(*user.colorizer("--address", cluster.address, *TINY)).wait()
    stranger.lose_power()
    assert refused.status == 2, refused.err
    (line,) = refused.err.splitlines()
    assert re.search(rf"node {stranger.address}: its copy of Chromatune is not the driver's", line)
    assert user.launches() == []
    too_much = run(
        user,
        *user.colorizer("--address", cluster.address, "--cpus-per-trial", "3", *TINY),
        status=2,
    )
    assert "no node can ever run a trial of 3 CPU" in too_much.err
    figures.update({"refusals": len(alive) + 2, "trainings started": 0})
