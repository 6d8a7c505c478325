"""What Ray and MLflow cost beside trainings of a minute each: (ours - floor) / floor.

    python -m benchmarks.orchestration --data-root data

The floor trains the same trainings through `fit()` alone, one process for each slot, and counts
only the seconds inside of it. Ours is the wall time of the whole command.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path

from benchmarks.measuring import Claim, timed, write
from tuning.tracking.store import prepare_store


def main() -> None:
    asked = _arguments()
    runs = []
    for number in range(asked.repetitions):
        with tempfile.TemporaryDirectory() as scratch:
            runs.append(_once(asked, Path(scratch)))
        print(f"{number + 1}/{asked.repetitions}: {json.dumps(runs[-1])}", flush=True)
    shares = [100 * (run["ours"] - run["floor"]) / run["floor"] for run in runs]
    shortest = min(run["shortest_training"] for run in runs)
    note = f"trainings of {shortest:.0f} s and more"
    write(
        "orchestration",
        [Claim("orchestration: (ours - floor) / floor", " %", 5.0, "most", shares, note)],
        runs=runs,
    )


def _once(asked: argparse.Namespace, scratch: Path) -> dict[str, float]:
    shared = ["colorizer", "--data-root", str(asked.data_root), "--dataset", asked.dataset]
    shared += ["--augment", "10", "--epochs", asked.epochs]
    shared += ["--heads", "tanh,sigmoid", "--lrs", "1e-3,1e-4"]
    store = f"sqlite:///{scratch}/mlruns/mlflow.db"
    prepare_store(store)
    place = ["--storage-path", str(scratch / "ray_results"), "--tracking-uri", store]
    ours = timed(["tuning", "grid", *shared, *place], scratch / "ours.log")
    out = scratch / "floor.json"
    timed(["benchmarks.ways.floor", *shared, "--out", str(out)], scratch / "floor.log")
    floor = json.loads(out.read_text())
    seconds = floor["seconds"].values()
    return {
        "ours": ours,
        "floor": sum(seconds) / floor["slots"],
        "shortest_training": min(seconds),
    }


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--data-root", type=Path, default=Path("data"))
    parser.add_argument("--dataset", default="faces")
    parser.add_argument("--epochs", default="3,5,7")
    parser.add_argument("--repetitions", type=int, default=1)
    return parser.parse_args()


if __name__ == "__main__":
    main()
