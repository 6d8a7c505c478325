"""What a launch of many trials asks of the driver and the stores, measured on many tiny ones.

    python -m benchmarks.scaling --trials 2000

Ray, MLflow, checkpoints, cells and models are real; only the trainings are tiny: one epoch of CNN1
on 800 images of 16 px. An empty Ray Tune launch of as many trials is measured beside them. The
costs per trial extrapolate to 10,000: the driver's do not grow.
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
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.harness import Measurement, markdown, timed, write
from tuning.tracking.store import prepare_store

MANY = 10_000
NODES, SLOTS = 100, 800
_PAGE = os.sysconf("SC_PAGE_SIZE")
_TICKS = os.sysconf("SC_CLK_TCK")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--trials", type=int, default=2000)
    trials = parser.parse_args().trials
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        samples = _sampled(_grid_of_tiny_trials(folder, trials), folder)
        cost = Measurement(
            "many trials: driver's processor time", " ms", 60, "most", [1e3 * _driver_cost(samples)]
        )
        stores = _store_sizes(folder)
        timed(
            ["benchmarks.ways.empty", "--trials", str(trials), "--out", str(folder / "empty.json")],
            folder / "empty.log",
        )
        empty = json.loads((folder / "empty.json").read_text())
        results = write(
            "scaling", [cost], trials=trials, samples=samples, stores=stores, empty=empty
        )
    print(table(results))


def table(results: Mapping[str, Any]) -> str:
    """The results as a Markdown table: measured, per trial, and for ten thousand trials."""
    trials, stores, samples = results["trials"], results["stores"], results["samples"]
    first, last = samples[0], samples[-1]
    cost = _driver_cost(samples)
    growth = (last["memory_bytes"] - first["memory_bytes"]) / trials
    rows = [
        _seconds_row("driver", cost, trials),
        _seconds_row("an empty Ray Tune launch", results["empty"]["processor_s"], trials),
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


def _seconds_row(name: str, each: float, trials: int) -> tuple[str, str, str, str]:
    name = f"{name}, processor time"
    return name, f"{each * trials:.0f} s", f"{1e3 * each:.0f} ms", f"{each * MANY / 60:.0f} min"


def limits(results: Mapping[str, Any]) -> str:
    """What these costs allow, as Markdown."""
    cost = _driver_cost(results["samples"])
    return (
        f"- The driver spends {1e3 * cost:.0f} ms of processor time on each trial, so it keeps up "
        f"with {NODES} nodes of {SLOTS // NODES} trials each if a trial takes at least "
        f"{SLOTS * cost:.0f} s.\n"
    )


def _driver_cost(samples: Sequence[Mapping[str, float]]) -> float:
    """Seconds of processor time per trial, from the first sample to the last."""
    first, last = samples[0], samples[-1]
    return (last["processor_s"] - first["processor_s"]) / (last["trials"] - first["trials"])


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


def _sampled(command: Sequence[str], folder: Path) -> list[dict[str, float]]:
    """Sample the driver at the first trial that has ended, and at the last."""
    started = time.perf_counter()
    driver = subprocess.Popen(
        [sys.executable, "-m", *command], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    samples: list[dict[str, float]] = []
    while driver.poll() is None:
        done = sum(1 for _ in (folder / "ray_results").glob("*/*/cells/*/cell.json"))
        if done > (samples[-1]["trials"] if samples else 0):
            with contextlib.suppress(FileNotFoundError):  # the driver has just ended
                wall = time.perf_counter() - started
                sample = {"trials": done, **_usage(driver.pid), "wall_s": wall}
                samples = [*samples[:1], sample]
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
