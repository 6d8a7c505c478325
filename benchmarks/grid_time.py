"""The report's grids, shrunk, in three ways: ours, the naive one and the tutorial's.

    python -m benchmarks.grid_time --data-root data --repetitions 3

Wall time of whole commands, imports and Ray's start included; an empty MLflow store lies there
already for the two ways that use one. The floor is Σ of pure `fit()` time over the slots.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.measuring import Claim, timed, write
from tuning.tracking.store import prepare_store

TASKS = ("regression", "colorizer")


def main() -> None:
    asked = _arguments()
    runs = []
    for number in range(asked.repetitions):
        with tempfile.TemporaryDirectory() as scratch:
            runs.append(_once(asked, Path(scratch)))
        print(f"{number + 1}/{asked.repetitions}: {json.dumps(runs[-1])}", flush=True)
    naive, tutorial = (
        [run[way] / run["ours"] for run in runs if way in run] for way in ("naive", "tutorial")
    )
    what = f"{asked.dataset} without copies, epochs {asked.epochs}"
    write(
        "grid_time",
        [
            Claim(f"both grids ({what}): naive / ours", "", 3.0, "least", naive),
            Claim(f"both grids ({what}): tutorial / ours", "", 5.0, "least", tutorial),
        ],
        runs=runs,
    )


def table(results: Mapping[str, Any]) -> str:
    """The results as a Markdown table, a row for each way."""
    runs = results["runs"]
    lines = [
        "| way | seconds: median | min | max | times the floor | n |",
        "|---|---|---|---|---|---|",
    ]
    for way in ("floor", "ours", "naive", "tutorial"):
        seconds = [run[way] for run in runs]
        factor = statistics.median(run[way] / run["floor"] for run in runs)
        figures = " | ".join(
            f"{value:.1f}" for value in (statistics.median(seconds), min(seconds), max(seconds))
        )
        lines.append(f"| {way} | {figures} | {factor:.2f} | {len(seconds)} |")
    return "\n".join(lines) + "\n"


def _once(asked: argparse.Namespace, scratch: Path) -> dict[str, float]:
    """Seconds of each way, and of the floor, for both tasks together."""
    seconds = dict.fromkeys(("ours", "naive", "tutorial", "floor"), 0.0)
    shared = ["--data-root", str(asked.data_root), "--epochs", asked.epochs]
    shared += ["--dataset", asked.dataset, "--augment", "1"]
    for task in TASKS:
        for way in ("ours", "tutorial", "naive", "floor"):
            store = f"sqlite:///{scratch}/{task}-{way}/mlruns/mlflow.db"
            log, out = scratch / f"{task}-{way}.log", scratch / f"{task}-{way}.json"
            if way in ("ours", "tutorial"):
                prepare_store(store)
            if way == "ours":
                place = ["--storage-path", str(scratch / "ray_results"), "--tracking-uri", store]
                seconds[way] += timed(["tuning", "grid", task, *shared, *place], log)
                continue
            command = [f"benchmarks.ways.{way}", task, *shared, "--out", str(out)]
            wall = timed([*command, "--tracking-uri", store], log)
            if way == "floor":
                floor = json.loads(out.read_text())
                wall = sum(floor["seconds"].values()) / floor["slots"]
            seconds[way] += wall
    return {way: round(value, 3) for way, value in seconds.items()}


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--data-root", type=Path, default=Path("data"))
    parser.add_argument("--dataset", default="faces")
    parser.add_argument("--epochs", default="1,3,5")
    parser.add_argument("--repetitions", type=int, default=3)
    return parser.parse_args()


if __name__ == "__main__":
    main()
