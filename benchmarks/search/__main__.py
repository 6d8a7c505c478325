"""Compare search methods on the recorded learning curves; `make bench-search`.

    python -m benchmarks.search --methods 'Chromatune*'

Takes about half an hour without Ax and the Gaussian processes, which take longer than all others.
A method whose library is not installed keeps the figures that it has. Writes a file for each
dataset, benchmarks/results/search-*.json, after each method, and docs/search.svg; `make docs`
writes the tables into docs/search.md.
"""

from __future__ import annotations

import argparse
import fnmatch
import functools
import hashlib
import importlib.metadata
import json
import logging
import math
import multiprocessing
import time
import traceback
import warnings
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from multiprocessing.pool import Pool
from typing import Any

import numpy as np

from benchmarks.harness import RESULTS, write
from benchmarks.search.curves import SPACES, Curves
from benchmarks.search.methods import EQUAL_COSTS, METHODS, WITH_PRIORS, Ours
from benchmarks.search.peers import PEERS, SLOW
from benchmarks.search.plot import SHOWN_EPOCHS, save_plot
from benchmarks.search.simulator import Method, Trace, simulate
from benchmarks.search.winners import compared_winners, epochs_with_known, find_winners

_EPOCHS = SHOWN_EPOCHS[-1]
_WORKERS = (1, 4, 16)
_SLOW_WORKERS = (1, 16)
_WITHIN_DB = (0.5, 0.25)
_QUARTILES = (25, 50, 75)
_SLOW_SEEDS = 10
_DEFAULT = "Chromatune, tpe, asha (default)"


def main() -> None:
    options = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    options.add_argument("--dataset", nargs="+", default=["faces", "ncd"])
    options.add_argument("--space", choices=list(SPACES), default="recipe")
    options.add_argument("--seeds", type=int, default=50, help=f"{_SLOW_SEEDS} of slow methods")
    options.add_argument("--methods", nargs="+", default=["*"], metavar="PATTERN")
    asked = options.parse_args()
    names = [
        name
        for name in (*METHODS, *WITH_PRIORS, *PEERS)
        if any(fnmatch.fnmatchcase(name, pattern) for pattern in asked.methods)
        and (name != EQUAL_COSTS or len(SPACES[asked.space]["model"]) > 1)
    ]
    if not names or asked.seeds < 1:
        options.error("nothing to do: give --methods that match one, and at least one seed")
    failed: list[str] = []
    with multiprocessing.Pool() as pool:
        for dataset in asked.dataset:
            failed += compare(pool, dataset, asked.space, names, asked.seeds)
    save_plot("recipe")
    if failed:
        raise SystemExit(f"failed: {'; '.join(failed)}")


def compare(
    pool: Pool, dataset: str, space: str, names: Sequence[str], seeds: int
) -> Sequence[str]:
    """Compare on one dataset; returns what failed."""
    curves = Curves.whole(dataset, space)
    if not curves.psnr.size:
        print(f"{curves.path} has no whole seed: run benchmarks.search.record", flush=True)
        return [dataset]
    digest = hashlib.sha256(curves.psnr.tobytes() + curves.seconds.tobytes()).hexdigest()[:16]
    path = RESULTS / f"search-{dataset}-{space}.json"
    failed = []
    for name in names:
        library = PEERS[name].library if name in PEERS else "optuna"
        try:
            version = importlib.metadata.version(library)
        except importlib.metadata.PackageNotFoundError:
            print(f"{dataset}, {name}: {library} is not installed", flush=True)
            continue
        started = time.perf_counter()
        tried = min(seeds, _SLOW_SEEDS) if name in SLOW else seeds
        try:
            runs = pool.map(
                functools.partial(_traces, dataset, space, name), range(tried), chunksize=1
            )
        except Exception:
            traceback.print_exc()
            failed.append(f"{name} on {dataset}")
            continue
        # Another process may have added rows; figures of other curves are not kept.
        known: Any = json.loads(path.read_text()) if path.exists() else {}
        if known.get("curves") != digest:
            known = {}
        if name == _DEFAULT and curves.psnr.shape[1] > 1:
            find = functools.partial(find_winners, dataset, space, most_epochs=_EPOCHS)
            winners = compared_winners(pool.map(find, range(seeds), chunksize=1))
            search = functools.partial(epochs_with_known, dataset, space, most_epochs=_EPOCHS)
            medians = np.median(pool.map(search, range(seeds), chunksize=1), axis=0)
            saved = [float(found) if math.isfinite(found) else None for found in medians]
        else:
            winners, saved = known.get("winners"), known.get("epochs_with_known")
        rows = {row["method"]: row for row in known.get("methods", ())}
        rows[name] = {
            "method": name,
            "library": f"{library} {version}",
            "created": datetime.now(UTC).isoformat(timespec="seconds"),
            "searches": tried,
            **_row(runs),
        }
        write(
            path.stem,
            [],
            command=f"python -m benchmarks.search --space {space}",
            dataset=dataset,
            space=space,
            curves=digest,
            recorded_on=curves.about["hardware"],
            methods=[rows[n] for n in (*METHODS, *WITH_PRIORS, *PEERS) if n in rows],
            winners=winners,
            epochs_with_known=saved,
        )
        print(f"{dataset}, {name}: {time.perf_counter() - started:.0f} s", flush=True)
    return failed


def _traces(dataset: str, space: str, name: str, seed: int) -> Mapping[int, Trace]:
    """One search for each number of workers."""
    logging.disable(logging.CRITICAL)
    curves = Curves.whole(dataset, space)
    recorded = seed % curves.psnr.shape[1]
    make: Callable[[str, int], Method]
    if name in WITH_PRIORS:
        make = functools.partial(Ours, expected=WITH_PRIORS[name](dataset, space))
    else:
        make = METHODS[name] if name in METHODS else PEERS[name].make
    with warnings.catch_warnings(action="ignore"):
        return {
            workers: simulate(make(space, seed), curves, recorded, workers, _EPOCHS)
            for workers in (_SLOW_WORKERS if name in SLOW else _WORKERS)
        }


def _row(runs: Sequence[Mapping[int, Trace]]) -> Mapping[str, Any]:
    """Quartiles over the seeds; None where a search has not come so close."""
    row: dict[str, Any] = {}
    for decibels in _WITHIN_DB:
        epochs = [traces[1].epochs_to(decibels) for traces in runs]
        row[f"epochs_to_{decibels}"] = _quartiles(epochs)
        row[f"reached_{decibels}"] = float(np.mean(np.isfinite(epochs)))
        for workers in runs[0]:
            seconds = [traces[workers].seconds_to(decibels) for traces in runs]
            row[f"seconds_to_{decibels}_{workers}"] = _quartiles(seconds)
    regrets = [
        [regret[min(epoch, len(regret)) - 1] for epoch in SHOWN_EPOCHS]
        for regret in (traces[1].regret for traces in runs)
    ]
    row["median_regret"] = np.median(regrets, axis=0).round(3).tolist()
    return row


def _quartiles(values: Sequence[float]) -> list[float | None]:
    found = np.percentile(values, _QUARTILES, method="higher")
    return [float(value) if math.isfinite(value) else None for value in found]


if __name__ == "__main__":
    main()
