"""What a launch is after it was killed, stopped or run out of time: never less than it was."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.processes import descendants

pytestmark = pytest.mark.slow

# All that a command may say on stderr: progress lines of ours, no warnings of anybody's.
OUR_LINES = re.compile(
    r"(grid-regression-synthetic-faces-\d{8}-\d{6}: \d+ trials, \d+ epochs"
    r"|\d+ %, .* elapsed.*: \d+ trials: .*"
    r"|cnn1-relu-lr1e-[34] (done|running): epoch \d+/\d+.*"
    r"|stopped; go on with `chromatune resume .*`"
    r"|cnn1-relu-lr1e-[34] crashed and goes on from its last checkpoint .*)"
)


def test_a_killed_driver_and_a_killed_worker_lose_nothing(
    place: Any, finished_grid: Any, run: Callable[..., Any]
) -> None:
    driver = place.start(*place.grid(), "--max-concurrent-trials", "1")
    place.wait_for_first_cell(driver)
    driver.kill()
    assert "RUNNING" in {one.info.status for one in place.runs().values()}
    told = run("doctor", *place.where, "--dry-run")
    assert "would be ended" in " ".join(told.out.split())
    assert "RUNNING" in {one.info.status for one in place.runs().values()}
    run("doctor", *place.where)
    assert "RUNNING" not in {one.info.status for one in place.runs().values()}
    finished = place.cells()
    times = {cell_id: cell["ended"] for cell_id, cell in finished.items()}

    second = place.start(*place.resume(), "--format", "json")
    second.kill_a_worker()
    resumed = second.wait()
    assert resumed.status == 0, resumed.err
    assert "crashed and goes on from its last checkpoint (failure 1)" in resumed.err
    assert {cell_id: place.cells()[cell_id]["ended"] for cell_id in times} == times
    assert_whole(place, resumed, finished_grid)
    json.loads(resumed.out)
    for line in resumed.err.splitlines():
        assert OUR_LINES.fullmatch(line), line


def test_a_trial_is_retried_as_often_as_it_may_be_and_again_by_a_resume(place: Any) -> None:
    long = ["--lrs", "1e-3", "--epochs", "2,1500"]
    driver = place.start(*place.grid("regression", *long), "--max-failures", "1")
    driver.kill_a_worker()
    place.wait_for(driver, lambda: "(failure 1)" in driver.told(), "the first failure")
    driver.kill_a_worker()
    failed = driver.wait()
    assert failed.status == 1, failed.err
    assert "once the cause is mended, `chromatune resume" in failed.err
    assert "FAILED" in {one.info.status for one in place.runs().values()}
    assert "RUNNING" not in {one.info.status for one in place.runs().values()}

    second = place.start(*place.resume())
    second.kill_a_worker()
    resumed = second.wait()
    assert resumed.status == 0, resumed.err
    history = place.cells()["cnn1-relu-lr1e-3-e1500"]["history"]
    assert [record["epoch"] for record in history] == list(range(1, 1501))
    assert {one.info.status for one in place.runs().values()} == {"FINISHED"}


def test_a_pack_whose_trial_is_killed_comes_to_what_its_trainings_come_to_alone(
    place: Any, finished_grid: Any
) -> None:
    driver = place.start(*place.grid(), "--pack", "2", "--format", "json")
    place.wait_for_first_cell(driver)
    driver.kill_a_worker()
    finished = driver.wait()
    assert finished.status == 0, finished.err
    crashed = "cnn1-relu-lr1e-3, cnn1-relu-lr1e-4 crashed and go on from their last checkpoints"
    assert f"{crashed} (failure 1)" in finished.err
    assert_whole(place, finished, finished_grid)


def test_ctrl_c_stops_cleanly_and_only_one_process_works_on_a_launch(
    place: Any, finished_grid: Any, run: Callable[..., Any]
) -> None:
    driver = place.start(*place.grid(), "--max-concurrent-trials", "1")
    place.wait_for_first_cell(driver)
    refused = run(*place.resume())
    assert refused.status == 2
    assert "is in use by process" in refused.err
    assert len(refused.err.splitlines()) == 1

    # As a terminal does: to every process of the foreground.
    os.killpg(driver.process.pid, signal.SIGINT)
    stopped = driver.wait()
    assert stopped.status == 130, stopped.err
    assert f"chromatune resume {place.launch().name}`" in stopped.err
    assert "stopped" in stopped.out or "–" in stopped.out
    for line in stopped.err.splitlines():
        assert OUR_LINES.fullmatch(line), line
    statuses = {run_.info.status for run_ in place.runs().values()}
    assert "RUNNING" not in statuses
    assert place.runs()[""].info.status == "KILLED"

    # A cell gets lost: the checkpoint behind it cannot bring it back.
    shutil.rmtree(next(place.launch().glob("*/cells/*")))
    resumed = run(*place.resume(place.launch().name), "--format", "json")
    assert resumed.status == 0, resumed.err
    assert_whole(place, resumed, finished_grid)


def test_ctrl_c_twice_stops_at_once_and_loses_nothing(
    place: Any, finished_grid: Any, run: Callable[..., Any]
) -> None:
    driver = place.start(*place.grid(), "--max-concurrent-trials", "1")
    place.wait_for_first_cell(driver)
    for _ in range(2):
        os.killpg(driver.process.pid, signal.SIGINT)
        time.sleep(0.2)
    stopped = driver.wait()
    assert stopped.status == 130, stopped.err
    assert "Traceback" not in stopped.err
    assert f"stopped at once; go on with `chromatune resume {place.launch().name}`" in stopped.err

    again = place.start(*place.resume())
    interrupt_while_ray_starts(place, again)
    stopped = again.wait()
    assert stopped.status == 130, stopped.err
    assert f"stopped at once; go on with `chromatune resume {place.launch().name}`" in stopped.err
    resumed = run(*place.resume(place.launch().name), "--format", "json")
    assert resumed.status == 0, resumed.err
    assert_whole(place, resumed, finished_grid)


def test_a_launch_that_is_stopped_before_it_trains_leaves_nothing(place: Any) -> None:
    driver = place.start(*place.grid())
    interrupt_while_ray_starts(place, driver)
    stopped = driver.wait()
    assert stopped.status == 130, stopped.err
    assert "stopped before anything was trained; the launch is withdrawn" in stopped.err
    assert "Traceback" not in stopped.err
    assert place.launches() == []
    assert place.runs() == {}


def test_sigterm_stops_cleanly_too_and_no_epoch_is_trained_twice(place: Any) -> None:
    driver = place.start(*place.grid(), "--epochs", "2,5000")
    place.wait_for_first_cell(driver)
    time.sleep(2)  # a few reports, and far from the next checkpoint by the clock
    driver.process.terminate()
    stopped = driver.wait()
    assert stopped.status == 130, stopped.err
    for line in stopped.err.splitlines():
        assert OUR_LINES.fullmatch(line), line
    assert "RUNNING" not in {run.info.status for run in place.runs().values()}
    begun = list(place.launch().glob("*/checkpoint_*/state.json"))
    assert begun
    for path in begun:
        own = [run for name, run in place.runs().items() if name.startswith(path.parts[-3])]
        shown = [step for run in own for step, _ in place.metric(run, "train_loss")]
        assert json.loads(path.read_text())["epoch"] >= max(shown)


@pytest.mark.usefixtures("local_ray")
def test_a_launch_whose_time_is_up_can_be_resumed(
    place: Any, finished_grid: Any, run: Callable[..., Any]
) -> None:
    stopped = run(*place.grid(), "--time-budget-s", "0.01")
    assert stopped.status == 1, stopped.err
    assert f"chromatune resume {place.launch()}`" in stopped.err
    assert len(place.cells()) < 4
    assert "RUNNING" not in {one.info.status for one in place.runs().values()}

    document = json.loads((place.launch() / "launch.json").read_text())
    document["config"]["resources"]["time_budget_s"] = None  # as if it had been long enough
    (place.launch() / "launch.json").write_text(json.dumps(document))
    resumed = run(*place.resume(), "--format", "json")
    assert resumed.status == 0, resumed.err
    assert_whole(place, resumed, finished_grid)


def interrupt_while_ray_starts(place: Any, driver: Any) -> None:
    def is_starting() -> bool:
        with contextlib.suppress(OSError):  # one of them has just ended
            below = descendants(driver.process.pid)
            return any("gcs_server" in Path(f"/proc/{pid}/comm").read_text() for pid in below)
        return False

    place.wait_for(driver, is_starting, "Ray to be started")
    os.killpg(driver.process.pid, signal.SIGINT)


def assert_whole(place: Any, finished: Any, finished_grid: Any) -> None:
    """The launch ended as one that nothing had disturbed, bit for bit, in its files and MLflow."""
    undisturbed, reference = finished_grid
    assert [_result(cell) for cell in finished.cells] == [_result(one) for one in reference.cells]
    cells, expected = place.cells(), undisturbed.cells()
    assert cells.keys() == expected.keys()
    runs = place.runs()
    assert runs.keys() == {"", *expected}
    for cell_id, cell in cells.items():
        assert _losses(cell) == _losses(expected[cell_id])
        assert cell["metrics"] == expected[cell_id]["metrics"]
        run = runs[cell_id]
        assert place.metric(run, "train_loss") == _losses(cell)
        assert len(place.metric(run, "val_mse")) == sum("val_mse" in one for one in cell["history"])
    assert {run.info.status for run in runs.values()} == {"FINISHED"}


def _result(cell: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in cell.items() if key not in ("launch_id", "run_id")}


def _losses(cell: dict[str, Any]) -> list[tuple[int, float]]:
    return [(one["epoch"], one["train_loss"]) for one in cell["history"]]
