"""Launches that cannot begin, are stopped, out of time or broken, and what follows."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.integration.conftest import wait_until
from tests.processes import descendants
from tuning.launch.folder import open_launch
from tuning.launch.outcomes import has_ended

pytestmark = pytest.mark.slow

ONE_SLOT = ["--max-concurrent-trials", "1"]
SERIAL = ["--backend", "serial"]


@pytest.fixture
def undisturbed(finished_grid: Any) -> Any:
    """Where the same grid ran to its end."""
    return finished_grid[0]


@pytest.mark.usefixtures("local_ray")
@pytest.mark.parametrize(
    ("backend", "number", "then"),
    [
        ("ray", signal.SIGTERM, "serial"),
        ("serial", signal.SIGINT, "ray"),
        ("serial", None, "serial"),
    ],
    ids=["SIGTERM", "Ctrl-C", "chromatune stop"],
)
def test_a_stopped_launch_saves_its_last_epoch_and_resumes_with_the_same_bits(
    backend: str,
    number: int | None,
    then: str,
    place: Any,
    undisturbed: Any,
    run: Callable[..., Any],
) -> None:
    driver = place.start(*place.grid(), *ONE_SLOT, "--backend", backend)
    place.wait_for_first_cell(driver)
    resume = f"resume with `chromatune resume {place.launch().name}`"
    if number is None:
        stopped = place.start("stop", *place.where[:2]).wait()
        assert (stopped.status, stopped.out) == (0, f"{place.launch().name} stopped; {resume}\n")
    elif number == signal.SIGINT:  # as a terminal does: to every process of the foreground
        os.killpg(driver.process.pid, number)
    else:
        driver.process.terminate()
    assert_stopped(driver, f"stopped; {resume}")
    assert_saved(place)

    resumed = run(*place.resume(), "--backend", then)
    assert resumed.status == 0, resumed.err
    place.assert_whole(undisturbed)


def test_a_detached_launch_runs_on_without_its_terminal_and_stops_when_that_is_closed(
    place: Any, undisturbed: Any, run: Callable[..., Any]
) -> None:
    wrong = place.start(*place.grid(), *SERIAL, "--detach", "--set", "grid.lr=1").wait()
    assert (wrong.status, place.launches()) == (2, [])
    assert "error: unknown key 'grid.lr'" in wrong.err

    begun = place.start(*place.grid(), *SERIAL, "--detach").wait()
    assert begun.status == 0, begun.err
    (pid,) = map(int, re.findall(r"as process (\d+) ", begun.out))
    try:
        log = place.launch() / "output.log"
        assert str(log) in begun.out
        wait_until(lambda: bool(place.cells()), "the first cell")
        for _ in range(2):  # as the kernel and a shell both send it
            os.kill(pid, signal.SIGHUP)
        wait_until(lambda: "stopped; resume with `chromatune" in log.read_text(), "its end")
        wait_until(lambda: not (place.launch() / "owner.json").exists(), "its end")
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    assert "\x1b" not in log.read_text()
    assert_saved(place)
    resumed = run(*place.resume(), *SERIAL)
    assert resumed.status == 0, resumed.err
    place.assert_whole(undisturbed)


def assert_saved(place: Any) -> None:
    """The runs of the launch have ended, and no epoch that they show has to be trained again."""
    runs = place.runs()
    assert runs[""].info.status == "KILLED"
    assert "RUNNING" not in place.statuses()
    launch = open_launch(str(place.launch()), "")
    # On a fast machine the training may have ended while the launch was stopped.
    for training in (t for t in launch.trainings if not has_ended(launch.storage, t)):
        states = place.launch().glob(f"{training.training_id}/checkpoint_*/state.json")
        saved = max((json.loads(state.read_text())["epoch"] for state in states), default=0)
        own = [run_ for name, run_ in runs.items() if name.startswith(training.training_id)]
        shown = [step for run_ in own for step, _ in place.metric(run_, "train_loss")]
        assert saved >= max(shown, default=0)


def test_ctrl_c_before_training_leaves_nothing_and_twice_it_stops_at_once(
    place: Any, undisturbed: Any, run: Callable[..., Any]
) -> None:
    def has_launch(_: Any) -> bool:
        return any((launch / "launch.json").exists() for launch in place.launches())

    for has_come, message in (
        (is_starting_ray, "interrupted"),
        (has_launch, "stopped before anything was trained; the launch was removed"),
    ):
        driver = place.start(*place.grid())
        place.wait_for(driver, partial(has_come, driver), message)
        time.sleep(0.3)
        os.killpg(driver.process.pid, signal.SIGINT)
        assert_stopped(driver, message)
        assert place.launches() == []
        assert place.runs() == {}

    driver = place.start(*place.grid(), *ONE_SLOT)
    place.wait_for_first_cell(driver)
    for _ in range(2):
        os.killpg(driver.process.pid, signal.SIGINT)
        time.sleep(0.2)
    assert_stopped(
        driver, f"stopped at once; resume with `chromatune resume {place.launch().name}`"
    )
    resumed = run(*place.resume(place.launch().name), *SERIAL)
    assert resumed.status == 0, resumed.err
    place.assert_whole(undisturbed)


def test_only_one_process_works_on_a_launch(undisturbed: Any, run: Callable[..., Any]) -> None:
    place = undisturbed
    with open_launch(str(place.launch()), "").held():
        refused = run(*place.resume())
    assert refused.status == 2
    assert "is in use by process" in refused.err
    assert len(refused.err.splitlines()) == 1
    assert run(*place.resume()).status == 0


@pytest.mark.usefixtures("local_ray")
@pytest.mark.parametrize("backend", ["ray", "serial"])
def test_a_launch_out_of_time_resumes_and_a_trial_that_raises_is_retried(
    backend: str, place: Any, undisturbed: Any, run: Callable[..., Any]
) -> None:
    chosen = ["--backend", backend]
    stopped = run(*place.grid(), *chosen, "--time-budget-s", "0.01", "--max-failures", "1")
    assert stopped.status == 1, stopped.err
    assert f"chromatune resume {place.launch()}`" in stopped.err
    assert len(place.cells()) < len(undisturbed.cells())
    assert "RUNNING" not in place.statuses()

    document = json.loads((place.launch() / "launch.json").read_text())
    document["config"]["resources"]["time_budget_s"] = None  # as if it had been long enough
    (place.launch() / "launch.json").write_text(json.dumps(document))
    name = "cnn1-relu-lr1e-4"
    assert not list(place.launch().glob(f"{name}/cells/*"))
    obstacle = place.launch() / name / f"cells/{name}-e2/model.safetensors"
    obstacle.mkdir(parents=True)  # where the weights of its first cell would be
    failed = run(*place.resume(), *chosen)
    assert failed.status == 1, failed.err
    assert f"{name} crashed and resumes from its last checkpoint (failure 1)" in failed.err
    assert "(failure 2)" not in failed.err
    assert f"{name}-e2 failed: " in failed.err
    assert "once the cause is fixed, `chromatune resume" in failed.err
    assert list(place.launch().glob(f"{name}*/error.txt"))
    runs = place.runs()
    assert runs[f"{name}-e2"].info.status == "FAILED"
    assert runs["cnn1-relu-lr1e-3-e60"].info.status == "FINISHED"

    obstacle.rmdir()
    resumed = run(*place.resume(), *SERIAL)
    assert resumed.status == 0, resumed.err
    place.assert_whole(undisturbed)


@pytest.mark.usefixtures("local_ray")
def test_a_trial_that_no_node_can_hold_leaves_nothing(place: Any, run: Callable[..., Any]) -> None:
    refused = run(*place.grid("regression", "--cpus-per-trial", "64"))
    assert refused.status == 2
    assert "no node can ever run a trial of 64 CPU and 0 GPU" in refused.err
    assert "2 CPU and 0 GPU" in refused.err
    assert place.launches() == []
    assert place.client().search_experiments(filter_string="name != 'Default'") == []


def assert_stopped(driver: Any, message: str) -> None:
    stopped = driver.wait()
    assert stopped.status == 130, stopped.err
    assert message in stopped.err
    assert "Traceback" not in stopped.err


def is_starting_ray(driver: Any) -> bool:
    with contextlib.suppress(OSError):  # one of the processes has just ended
        below = descendants(driver.process.pid)
        return any("gcs_server" in Path(f"/proc/{pid}/comm").read_text() for pid in below)
    return False
