"""Compare search methods on the recorded learning curves; about ten minutes.

    python -m benchmarks.search

Writes benchmarks/results/search.json; `make docs` writes its table into docs/search.md.
"""

from __future__ import annotations

import argparse
import functools
import math
import multiprocessing
import time
from collections.abc import Sequence

import numpy as np
import optuna

from benchmarks.harness import write
from benchmarks.search.curves import Curves
from benchmarks.search.methods import METHODS
from benchmarks.search.simulator import Trace, simulate

_EPOCHS = 400
_WORKERS = (1, 4, 16)
_WITHIN_DB = (0.5, 0.25)
_QUARTILES = (25, 50, 75)


def main() -> None:
    options = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    options.add_argument("--dataset", default="faces")
    options.add_argument("--space", default="recipe")
    options.add_argument("--seeds", type=int, default=48)
    asked = options.parse_args()
    curves = Curves.open(asked.dataset, asked.space)
    if curves.missing:
        raise SystemExit(f"{curves.path} is not recorded whole: run benchmarks.search.record")
    rows = []
    with multiprocessing.Pool() as pool:
        for name in METHODS:
            started = time.perf_counter()
            run = functools.partial(_traces, asked.dataset, asked.space, name)
            runs = pool.map(run, range(asked.seeds), chunksize=1)
            rows.append({"method": name, **_row(runs)})
            print(f"{name}: {time.perf_counter() - started:.0f} s", flush=True)
    write(
        "search",
        [],
        dataset=asked.dataset,
        space=asked.space,
        seeds=asked.seeds,
        recorded_on=curves.about["hardware"],
        methods=rows,
    )


def _traces(dataset: str, space: str, name: str, seed: int) -> list[Trace]:
    """One search for each number of workers."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    curves = Curves.open(dataset, space)
    recorded = seed % curves.psnr.shape[1]
    make = METHODS[name]
    return [simulate(make(space, seed), curves, recorded, n, _EPOCHS) for n in _WORKERS]


def _row(runs: Sequence[Sequence[Trace]]) -> dict[str, object]:
    """Quartiles over the seeds; None where a search has not come so close."""
    row: dict[str, object] = {}
    for decibels in _WITHIN_DB:
        epochs = [trace.epochs_to(decibels) for trace, *_ in runs]
        row[f"epochs_to_{decibels}"] = _quartiles(epochs)
        row[f"reached_{decibels}"] = float(np.mean(np.isfinite(epochs)))
        for place, workers in enumerate(_WORKERS):
            seconds = [traces[place].seconds_to(decibels) for traces in runs]
            row[f"seconds_to_{decibels}_{workers}"] = _quartiles(seconds)
    return row


def _quartiles(values: Sequence[float]) -> list[float | None]:
    found = np.percentile(values, _QUARTILES, method="higher")
    return [float(value) if math.isfinite(value) else None for value in found]


if __name__ == "__main__":
    main()
