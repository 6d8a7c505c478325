"""What a trial costs beside its training: its start in a warm worker, and the driver's share.

    python -m benchmarks.tiny_trials

Trials of one epoch of CNN1 on 800 pictures of 16 px in batches of 4, a third of a second each: long
enough for the thread that writes to MLflow to keep up, so that its work is counted with the trial
that it is for. The driver's cost is the processor time of its process, that thread included.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

from benchmarks.measuring import Claim, timed, write
from tuning.tracking.store import prepare_store

_EARLY, _LATE, _AROUND = 20, 200, 10
_TICKS = os.sysconf("SC_CLK_TCK")


def main() -> None:
    asked = _arguments()
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch)
        settings = prepare_pictures(root)
        starts = _starts(root, settings, asked.starts)
        costs = [_costs(root / f"costs{n}", settings) for n in range(asked.repetitions)]
    growth = [late / early for early, late in costs]
    write(
        "tiny_trials",
        [
            Claim("start of a trial in a reused worker", " s", 0.5, "most", starts),
            Claim("driver's cost per trial: at trial 200 / at trial 20", "", 1.2, "most", growth),
        ],
        driver_seconds_per_trial=[{"at_20": early, "at_200": late} for early, late in costs],
    )


def prepare_pictures(root: Path) -> list[str]:
    """Prepare tiny pictures below `root`; the options that name them."""
    settings = ["--count", "1000", "--size", "16", "--augment", "1"]
    settings += ["--data-root", str(root / "data")]
    timed(["tuning", "prepare", "synthetic-faces", *settings], root / "prepare.log")
    return [*settings, "--dataset", "synthetic-faces"]


def grid_command(place: Path, settings: Sequence[str], trials: int, *more: str) -> list[str]:
    """A grid of tiny trials, one for each of as many learning rates, with stores in `place`."""
    store = f"sqlite:///{place}/mlruns/mlflow.db"
    prepare_store(store)
    rates = ",".join(f"{1e-3 * (1 + number / 1e5):.9f}" for number in range(trials))
    where = ["--storage-path", str(place / "ray_results"), "--tracking-uri", store]
    grid = ["tuning", "grid", "regression", "--models", "cnn1", "--lrs", rates, "--epochs", "1"]
    grid += ["--set", "training.batch_size=4"]
    return [*grid, *settings, *where, *more]


def _starts(root: Path, settings: Sequence[str], trials: int) -> list[float]:
    """Seconds from one trial's last epoch to the next one's first, in one and the same worker."""
    place = root / "starts"
    timed(
        grid_command(place, settings, trials + 1, "--max-concurrent-trials", "1"),
        root / "starts.log",
    )
    files = (place / "ray_results").glob("*/*/cells/*/cell.json")
    cells = sorted((json.loads(file.read_text()) for file in files), key=lambda one: one["started"])
    return [(after["started"] - before["ended"]) / 1000 for before, after in pairwise(cells)]


def _costs(place: Path, settings: Sequence[str]) -> tuple[float, float]:
    """The driver's seconds of processor time per trial, around the 20th and around the 200th."""
    trials = _LATE + 2 * _AROUND
    command = grid_command(place, settings, trials, "--max-concurrent-trials", "1")
    driver = subprocess.Popen(
        [sys.executable, "-m", *command], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    spent: dict[int, float] = {}
    while driver.poll() is None:
        done = sum(1 for _ in (place / "ray_results").glob("*/*/cells/*/cell.json"))
        with contextlib.suppress(FileNotFoundError):  # it has just ended
            spent.setdefault(done, _processor_seconds(driver.pid))
        time.sleep(0.05)
    if driver.returncode != 0:
        raise SystemExit("the launch of tiny trials failed")
    return _per_trial(spent, _EARLY), _per_trial(spent, _LATE)


def _per_trial(spent: dict[int, float], trial: int) -> float:
    before = max(count for count in spent if count <= trial - _AROUND)
    after = min(count for count in spent if count >= trial + _AROUND)
    return (spent[after] - spent[before]) / (after - before)


def _processor_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--starts", type=int, default=20)
    parser.add_argument("--repetitions", type=int, default=3)
    return parser.parse_args()


if __name__ == "__main__":
    main()
