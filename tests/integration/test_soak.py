"""Ten launches, each struck with kill -9 at random moments: `make soak`."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import time
from collections import Counter
from typing import Any

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.soak]

ROUNDS = 10
STRIKES = 3


def _wait(driver: Any, seconds: float) -> None:
    """Wait so long, or until the command has ended."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and driver.process.poll() is None:
        time.sleep(0.05)


def _kill_a_trial(driver: Any) -> bool:
    """Kill -9 a trial while it trains, which it does for a moment here; False if none does."""
    while driver.process.poll() is None:
        for worker in driver.workers()[:1]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(worker, signal.SIGKILL)
                return True
        time.sleep(0.01)
    return False


@pytest.mark.parametrize("seed", range(ROUNDS))
def test_whatever_is_killed_whenever_nothing_is_lost(
    seed: int, place: Any, finished_grid: Any, figures: Counter[str]
) -> None:
    """After `kill -9` of the driver, a trial or both at random moments, the launch ends like an
    undisturbed one, bit for bit, with every run in MLflow once.
    """
    draw = random.Random(seed)
    driver = place.start(*place.grid(), "--format", "json")
    kills = 0
    for _ in range(STRIKES):
        # The first strike comes before a fast machine has ended the launch.
        victim = draw.choice(("driver", "trial", "both")) if kills else "driver"
        latest = 12 if kills else 5
        _wait(driver, draw.uniform(2, latest) if victim == "driver" else draw.uniform(0, 10))
        if victim != "driver" and _kill_a_trial(driver):
            figures["trials killed"] += 1
            kills += 1
        if driver.process.poll() is not None:
            break
        if victim != "trial":
            driver.kill()
            figures["drivers killed"] += 1
            kills += 1
            words = place.resume() if place.launches() else place.grid()
            driver = place.start(*words, "--format", "json")
    assert kills >= 1
    finished = driver.wait()
    if finished.status == 1:  # a trial was killed more often than it is retried by itself
        finished = place.start(*place.resume(), "--format", "json").wait()
    figures["losses"] += 1  # until the contrary is proven
    assert finished.status == 0, finished.err
    place.assert_whole(finished_grid[0])
    figures["losses"] -= 1
    figures["rounds"] += 1
    figures["runs checked"] += len(place.runs())
    figures["cells equal to the last bit"] += len(place.cells())
