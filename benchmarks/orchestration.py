"""What Ray and MLflow cost beside trainings of a minute each: (ours - floor) / floor.

    python -m benchmarks.orchestration --data-root data

Ours is the wall time of the whole command, the floor the time spent in `fit()` alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from benchmarks.grid_time import floor_of, seconds_of_ours
from benchmarks.harness import Measurement, parser, repeat, table, write


def main() -> None:
    options = parser(__doc__ or "", repetitions=1)
    options.add_argument("--epochs", default="3,5,7")
    asked = options.parse_args()
    grid = ["colorizer", "--data-root", str(asked.data_root), "--dataset", asked.dataset]
    grid += ["--augment", "10", "--epochs", asked.epochs]
    grid += ["--heads", "tanh,sigmoid", "--lrs", "1e-3,1e-4"]
    runs = repeat(asked.repetitions, partial(_once, grid))
    shares = [100 * (run["ours"] - run["floor"]) / run["floor"] for run in runs]
    shortest = min(run["shortest_training"] for run in runs)
    note = f"trainings of {shortest:.0f} s and more"
    name = "orchestration: (ours - floor) / floor"
    measured = Measurement(name, " %", 5.0, "most", shares, note)
    print(table([write("orchestration", [measured], runs=runs)]))


def _once(grid: Sequence[str], scratch: Path) -> dict[str, float]:
    ours = seconds_of_ours(grid, scratch)
    floor = floor_of(grid, scratch)
    seconds = floor["seconds"]
    alone = sum(seconds) / floor["slots"]
    return {"ours": ours, "floor": alone, "shortest_training": min(seconds)}


if __name__ == "__main__":
    main()
