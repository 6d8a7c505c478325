"""What only a launch on Ray can suffer: killed workers, Ctrl-C while Ray starts or stops."""

from __future__ import annotations

import contextlib
import json
import os
import re
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
    r"|stopped; resume with `chromatune resume .*`"
    r"|cnn1-relu-lr1e-[34] crashed and resumes from its last checkpoint .*)"
)


def test_what_is_killed_on_ray_loses_nothing_and_doctor_ends_its_runs(
    place: Any, finished_grid: Any, run: Callable[..., Any]
) -> None:
    driver = place.start(*place.grid(), "--max-concurrent-trials", "1")
    place.wait_for_first_cell(driver)
    driver.kill()
    assert "RUNNING" in {run_.info.status for run_ in place.runs().values()}
    report = run("doctor", *place.where, "--dry-run")
    assert "would be ended" in " ".join(report.out.split())
    assert "RUNNING" in {run_.info.status for run_ in place.runs().values()}
    run("doctor", *place.where)
    assert "RUNNING" not in {run_.info.status for run_ in place.runs().values()}
    times = {cell_id: cell["ended"] for cell_id, cell in place.cells().items()}

    second = place.start(*place.resume(), "--format", "json")
    second.kill_a_worker()
    resumed = second.wait()
    assert resumed.status == 0, resumed.err
    assert "crashed and resumes from its last checkpoint (failure 1)" in resumed.err
    assert {cell_id: place.cells()[cell_id]["ended"] for cell_id in times} == times
    assert_whole(place, resumed, finished_grid)
    json.loads(resumed.out)
    for line in resumed.err.splitlines():
        assert OUR_LINES.fullmatch(line), line


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
    assert f"stopped at once; resume with `chromatune resume {place.launch().name}`" in stopped.err

    again = place.start(*place.resume())
    interrupt_while_ray_starts(place, again)
    stopped = again.wait()
    assert stopped.status == 130, stopped.err
    assert f"stopped at once; resume with `chromatune resume {place.launch().name}`" in stopped.err
    resumed = run(*place.resume(place.launch().name), "--format", "json")
    assert resumed.status == 0, resumed.err
    assert_whole(place, resumed, finished_grid)


def test_a_launch_that_is_stopped_before_it_trains_leaves_nothing(place: Any) -> None:
    driver = place.start(*place.grid())
    interrupt_while_ray_starts(place, driver)
    stopped = driver.wait()
    assert stopped.status == 130, stopped.err
    assert "stopped before anything was trained; the launch was removed" in stopped.err
    assert "Traceback" not in stopped.err
    assert place.launches() == []
    assert place.runs() == {}


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
    assert [_result(cell) for cell in finished.cells] == [_result(cell) for cell in reference.cells]
    place.assert_same_cells(undisturbed)
    place.assert_once_in_mlflow()


def _result(cell: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in cell.items() if key not in ("launch_id", "run_id")}
