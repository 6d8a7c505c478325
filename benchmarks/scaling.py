"""What a launch of many trials asks of the driver and the stores, measured on many tiny ones.

    python -m benchmarks.scaling --trials 2000

Ray, MLflow, checkpoints, cells and models are real; only the trainings are tiny: one epoch of CNN1
on 800 images of 16 px. A line fitted to the driver's time per trial extrapolates to 10,000.
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

from benchmarks.harness import markdown, timed, write
from tuning.tracking.store import prepare_store

MANY = 10_000
NODES, SLOTS = 100, 800
_SAMPLES = 10
_PAGE = os.sysconf("SC_PAGE_SIZE")
_TICKS = os.sysconf("SC_CLK_TCK")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--trials", type=int, default=2000)
    trials = parser.parse_args().trials
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        samples = _sampled(_grid_of_tiny_trials(folder, trials), folder, trials)
        results = write("scaling", [], trials=trials, samples=samples, stores=_store_sizes(folder))
    print(table(results))


def table(results: Mapping[str, Any]) -> str:
    """The results as a Markdown table: measured, per trial, and for ten thousand trials."""
    trials, stores, samples = results["trials"], results["stores"], results["samples"]
    first, last = samples[0], samples[-1]
    cost, slope = _driver_cost(samples)
    growth = (last["memory_bytes"] - first["memory_bytes"]) / trials
    rows = [
        (
            "driver, processor time",
            f"{last['processor_s']:.0f} s",
            f"{1e3 * cost:.0f} ms + {1e6 * slope:.2f} µs for each trial before it",
            f"{(cost * MANY + slope * MANY**2 / 2) / 60:.0f} min",
        ),
        (
            "driver, memory",
            f"{last['memory_bytes'] / 1e6:.0f} MB",
            f"{growth / 1e3:.0f} kB",
            f"{(first['memory_bytes'] + growth * MANY) / 1e9:.2f} GB",
        ),
    ]
    for name, size in stores["bytes"].items():
        each = size / trials
        many = f"{each * MANY / 1e9:.2f} GB"
        rows.append((name, f"{size / 1e6:.0f} MB", f"{each / 1e3:.1f} kB", many))
    each = stores["files"] / trials
    many = f"{each * MANY:,.0f}"
    rows.append(("files in the launch folder", f"{stores['files']}", f"{each:.1f}", many))
    measured = f"{trials} trials, measured in {last['wall_s'] / 60:.1f} min"
    return markdown(("", measured, "per trial", f"{MANY:,} trials, extrapolated"), rows)


def limits(results: Mapping[str, Any]) -> str:
    """What these costs allow, as Markdown."""
    cost, slope = _driver_cost(results["samples"])
    last = cost + slope * MANY
    return (
        f"- At its {MANY:,}th trial the driver spends {1e3 * last:.0f} ms of processor time on "
        f"each, so it keeps up with {NODES} nodes of {SLOTS // NODES} trials each if a trial "
        f"takes at least {SLOTS * last:.0f} s.\n"
    )


def _driver_cost(samples: Sequence[Mapping[str, float]]) -> tuple[float, float]:
    """Fit the driver's seconds per trial as cost + slope x the number of trials before it."""
    done = np.array([sample["trials"] for sample in samples])
    spent = np.array([sample["processor_s"] for sample in samples])
    middles, costs = (done[1:] + done[:-1]) / 2, np.diff(spent) / np.diff(done)
    slope, cost = np.polyfit(middles, costs, 1)
    if slope < 0:  # noise: there is no growth
        return float(costs.mean()), 0.0
    return float(cost), float(slope)


def _grid_of_tiny_trials(folder: Path, trials: int) -> list[str]:
    """Prepare tiny images, and return a grid with as many learning rates as `trials`."""
    data = ["--count", "1000", "--size", "16", "--augment", "1"]
    data += ["--data-root", str(folder / "data")]
    timed(["tuning", "prepare", "synthetic-faces", *data], folder / "prepare.log")
    store = f"sqlite:///{folder}/mlruns/mlflow.db"
    prepare_store(store)
    rates = ",".join(f"{1e-3 * (1 + number / 1e5):.9f}" for number in range(trials))
    grid = ["tuning", "grid", "regression", "--models", "cnn1", "--lrs", rates, "--epochs", "1"]
    grid += ["--set", "training.batch_size=4", "--dataset", "synthetic-faces", *data]
    return [*grid, "--storage-path", str(folder / "ray_results"), "--tracking-uri", store]


def _sampled(command: Sequence[str], folder: Path, trials: int) -> list[dict[str, float]]:
    """Sample the driver whenever another tenth of the trials has ended."""
    started = time.perf_counter()
    driver = subprocess.Popen(
        [sys.executable, "-m", *command], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    samples: list[dict[str, float]] = []
    while driver.poll() is None:
        done = sum(1 for _ in (folder / "ray_results").glob("*/*/cells/*/cell.json"))
        is_more = not samples or done > samples[-1]["trials"]
        if is_more and done >= max(1, len(samples) * trials / _SAMPLES):
            with contextlib.suppress(FileNotFoundError):  # the driver has just ended
                wall = time.perf_counter() - started
                samples.append({"trials": done, **_usage(driver.pid), "wall_s": wall})
        time.sleep(0.2)
    if driver.returncode != 0:
        raise SystemExit("the launch failed")
    return samples


def _usage(pid: int) -> dict[str, float]:
    """Processor time and resident memory of a process, as /proc shows them."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    seconds = (int(fields[11]) + int(fields[12])) / _TICKS
    return {"processor_s": seconds, "memory_bytes": int(fields[21]) * _PAGE}


def _store_sizes(folder: Path) -> dict[str, Any]:
    launch = [path for path in (folder / "ray_results").rglob("*") if path.is_file()]
    tracked = sum(path.stat().st_size for path in (folder / "mlruns").rglob("*") if path.is_file())
    database = (folder / "mlruns" / "mlflow.db").stat().st_size
    return {
        "files": len(launch),
        "bytes": {
            "launch folder": sum(path.stat().st_size for path in launch),
            "MLflow's database": database,
            "MLflow's artifacts": tracked - database,
        },
    }


if __name__ == "__main__":
    main()
