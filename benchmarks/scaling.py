"""What a launch of many trials asks of the driver and the stores, measured on many tiny ones.

    python -m benchmarks.scaling --trials 2000

Ray, MLflow, checkpoints, cells and models are all real; only the trainings are next to nothing:
one epoch of CNN1 on 800 pictures of 16 px. A straight line through the driver's cost per trial
says what ten thousand trials would cost it.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.measuring import timed, write
from tuning.tracking.store import prepare_store

MANY = 10_000
NODES, SLOTS = 100, 800
_BINS = 10
_PAGE = os.sysconf("SC_PAGE_SIZE")
_TICKS = os.sysconf("SC_CLK_TCK")


def main() -> None:
    asked = _arguments()
    with tempfile.TemporaryDirectory() as scratch:
        place = Path(scratch)
        command = _grid_command(place, _prepare_pictures(place), asked.trials)
        samples = _sampled(command, place, asked.trials)
        results = {"trials": asked.trials, "samples": samples, "stores": _stores(place)}
    write("scaling", [], **results)
    print(table(results))


def table(results: Mapping[str, Any]) -> str:
    """The results as a Markdown table: measured, per trial, and for ten thousand trials."""
    trials, stores, samples = results["trials"], results["stores"], results["samples"]
    first, slope = driver_cost(samples)
    measured, many = samples[-1]["processor_s"], first * MANY + slope * MANY**2 / 2
    growth = (samples[-1]["memory_bytes"] - samples[0]["memory_bytes"]) / trials
    memory = samples[0]["memory_bytes"] + growth * MANY
    rows = [
        (
            "driver, processor time",
            f"{measured:.0f} s",
            f"{1e3 * first:.0f} ms + {1e6 * slope:.2f} µs for each trial before it",
            f"{many / 60:.0f} min",
        ),
        (
            "driver, memory",
            f"{samples[-1]['memory_bytes'] / 1e6:.0f} MB",
            f"{growth / 1e3:.0f} kB",
            f"{memory / 1e9:.2f} GB",
        ),
        *(
            (
                name,
                f"{size / 1e6:.0f} MB",
                f"{size / trials / 1e3:.1f} kB",
                f"{size / trials * MANY / 1e9:.2f} GB",
            )
            for name, size in stores["bytes"].items()
        ),
        (
            "files in the launch folder",
            f"{stores['files']}",
            f"{stores['files'] / trials:.1f}",
            f"{stores['files'] / trials * MANY:,.0f}",
        ),
    ]
    lines = [
        f"| | {trials} trials, measured in {samples[-1]['wall_s'] / 60:.1f} min | per trial "
        f"| {MANY:,} trials, by the line |",
        "|---|---|---|---|",
        *(f"| {' | '.join(row)} |" for row in rows),
    ]
    return "\n".join(lines) + "\n"


def limits(results: Mapping[str, Any], tracking: Mapping[str, Any]) -> str:
    """What these costs allow, as Markdown; `tracking` are the results of `tracking_cost`."""
    first, slope = driver_cost(results["samples"])
    last = first + slope * MANY
    report_ms = max(run["ours_with_thread_ms"] for run in tracking["runs"])
    busy = SLOTS * report_ms / 1e3
    return (
        f"- At its {MANY:,}th trial the driver spends {1e3 * last:.0f} ms of processor time on "
        f"one, so it keeps up with {NODES} nodes of {SLOTS // NODES} trials each where a trial "
        f"takes {SLOTS * last:.0f} s or more.\n"
        f"- A report of 12 metrics costs it up to {report_ms:.1f} ms with all that is written to "
        f"MLflow: {SLOTS} trials that each report once a second would take {busy:.1f} cores, and "
        f"it has one.\n"
    )


def driver_cost(samples: Sequence[Mapping[str, float]]) -> tuple[float, float]:
    """Fit the driver's seconds of a trial as first + slope x the number of trials before it."""
    done = np.array([sample["trials"] for sample in samples])
    spent = np.array([sample["processor_s"] for sample in samples])
    middles, costs = (done[1:] + done[:-1]) / 2, np.diff(spent) / np.diff(done)
    slope, first = np.polyfit(middles, costs, 1)
    if slope < 0:  # no growth but noise
        return float(costs.mean()), 0.0
    return float(first), float(slope)


def _prepare_pictures(root: Path) -> list[str]:
    """Prepare tiny pictures below `root`; the options that name them."""
    settings = ["--count", "1000", "--size", "16", "--augment", "1"]
    settings += ["--data-root", str(root / "data")]
    timed(["tuning", "prepare", "synthetic-faces", *settings], root / "prepare.log")
    return [*settings, "--dataset", "synthetic-faces"]


def _grid_command(place: Path, settings: Sequence[str], trials: int) -> list[str]:
    """A grid of tiny trials, one for each of as many learning rates, with stores in `place`."""
    store = f"sqlite:///{place}/mlruns/mlflow.db"
    prepare_store(store)
    rates = ",".join(f"{1e-3 * (1 + number / 1e5):.9f}" for number in range(trials))
    where = ["--storage-path", str(place / "ray_results"), "--tracking-uri", store]
    grid = ["tuning", "grid", "regression", "--models", "cnn1", "--lrs", rates, "--epochs", "1"]
    grid += ["--set", "training.batch_size=4"]
    return [*grid, *settings, *where]


def _sampled(command: Sequence[str], place: Path, trials: int) -> list[dict[str, float]]:
    """Look at the driver whenever another tenth of the trials has ended."""
    started = time.perf_counter()
    driver = subprocess.Popen(
        [sys.executable, "-m", *command], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    samples: list[dict[str, float]] = []
    while driver.poll() is None:
        done = sum(1 for _ in (place / "ray_results").glob("*/*/cells/*/cell.json"))
        is_more = not samples or done > samples[-1]["trials"]
        if is_more and done >= max(1, len(samples) * trials / _BINS):
            with contextlib.suppress(FileNotFoundError):  # it has just ended
                seconds, memory = _driver(driver.pid)
                wall = time.perf_counter() - started
                samples.append(
                    {
                        "trials": done,
                        "processor_s": seconds,
                        "memory_bytes": memory,
                        "wall_s": wall,
                    }
                )
        time.sleep(0.2)
    if driver.returncode != 0:
        raise SystemExit("the launch failed")
    return samples


def _driver(pid: int) -> tuple[float, int]:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS, int(fields[21]) * _PAGE


def _stores(place: Path) -> dict[str, Any]:
    launch = [path for path in (place / "ray_results").rglob("*") if path.is_file()]
    artifacts = [path for path in (place / "mlruns").rglob("*") if path.is_file()]
    database = place / "mlruns" / "mlflow.db"
    return {
        "files": len(launch),
        "bytes": {
            "launch folder": sum(path.stat().st_size for path in launch),
            "MLflow's database": database.stat().st_size,
            "MLflow's artifacts": sum(
                path.stat().st_size for path in artifacts if path != database
            ),
        },
    }


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--trials", type=int, default=2000)
    return parser.parse_args()


if __name__ == "__main__":
    main()
