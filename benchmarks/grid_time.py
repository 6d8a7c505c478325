"""The published grids, shrunk, in three implementations: ours, a naive one and the tutorial's.

    python -m benchmarks.grid_time --data-root data --repetitions 3

Measures the wall time of whole commands, with imports and the start of Ray. The two that use MLflow
find an empty store. The floor is the time spent in `fit()` alone, divided by the number of slots.
"""

from __future__ import annotations

import json
import statistics
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.harness import Measurement, markdown, parser, repeat, timed, write
from tuning.tracking.store import prepare_store

WAYS = ("floor", "ours", "naive", "tutorial")


def main() -> None:
    options = parser(__doc__ or "", repetitions=3)
    options.add_argument("--epochs", default="1,3,5")
    asked = options.parse_args()
    grid = ["--data-root", str(asked.data_root), "--epochs", asked.epochs]
    grid += ["--dataset", asked.dataset, "--augment", "1"]
    runs = repeat(asked.repetitions, partial(_both_grids, grid))
    what = f"both grids ({asked.dataset} without copies, epochs {asked.epochs})"
    steps = [run["ours"] / run["steps"] for run in runs]
    measurements = [Measurement(f"{what}: ours / steps alone", "", 1.5, "most", steps)]
    measurements += [
        Measurement(
            f"{what}: {way} / ours", "", target, "least", [run[way] / run["ours"] for run in runs]
        )
        for way, target in (("naive", 2.0), ("tutorial", 3.5))
    ]
    print(table(write("grid_time", measurements, runs=runs)))


def table(results: Mapping[str, Any]) -> str:
    """The results as a Markdown table, one row per implementation."""
    runs = results["runs"]
    rows = []
    for way in WAYS:
        seconds = [run[way] for run in runs]
        factor = statistics.median(run[way] / run["floor"] for run in runs)
        figures = (statistics.median(seconds), min(seconds), max(seconds))
        rows.append([way, *(f"{value:.1f}" for value in figures), f"{factor:.2f}", f"{len(runs)}"])
    header = ("implementation", "seconds: median", "min", "max", "times the floor", "n")
    return markdown(header, rows)


def _both_grids(grid: Sequence[str], scratch: Path) -> dict[str, float]:
    seconds = dict.fromkeys((*WAYS, "steps"), 0.0)
    for task in ("regression", "colorizer"):
        seconds["ours"] += seconds_of_ours([task, *grid], scratch / task)
        for way in ("tutorial", "naive"):
            seconds[way] += _seconds_of(way, [task, *grid], scratch / task)
        floor = floor_of([task, *grid], scratch / task)
        for key, name in (("floor", "seconds"), ("steps", "steps")):
            seconds[key] += sum(floor[name]) / floor["slots"]
    return seconds


def seconds_of_ours(grid: Sequence[str], scratch: Path) -> float:
    """Wall time of `chromatune grid` with the options `grid`."""
    store = f"sqlite:///{scratch}/ours/mlruns/mlflow.db"
    prepare_store(store)
    where = ["--storage-path", str(scratch / "ray_results"), "--tracking-uri", store]
    return timed(["tuning", "grid", *grid, *where], scratch / "ours.log")


def floor_of(grid: Sequence[str], scratch: Path) -> dict[str, Any]:
    """Each training's `seconds` inside `fit()`, of these those of its `steps`, and the `slots`."""
    _seconds_of("floor", grid, scratch)
    floor: dict[str, Any] = json.loads((scratch / "floor.json").read_text())
    return floor


def _seconds_of(way: str, grid: Sequence[str], scratch: Path) -> float:
    store = f"sqlite:///{scratch}/{way}/mlruns/mlflow.db"
    if way == "tutorial":
        prepare_store(store)
    out = ["--out", str(scratch / f"{way}.json"), "--tracking-uri", store]
    return timed([f"benchmarks.ways.{way}", *grid, *out], scratch / f"{way}.log")


if __name__ == "__main__":
    main()
