"""Seconds until a search has passed the best cell of a finished grid, beside the grid's own.

    python -m benchmarks.real_search LAUNCH --data-root data

LAUNCH is the folder of a grid on the same machine. Each search is `chromatune search` over the
packaged space of the network that won, without its first points and without earlier results, with
the longest epochs of the grid. It is timed from its command on, the grid from its launch on.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import chromatune
from benchmarks.harness import Measurement, markdown, write

_POLL_S = 0.5


def main() -> None:
    options = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    options.add_argument("launch", type=Path)
    options.add_argument("--data-root", type=Path, default=Path("data"))
    options.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    asked = options.parse_args()
    grid = _grid(asked.launch)
    runs = []
    for seed in asked.seeds:
        runs.append({"seed": seed, **_search(grid, asked.data_root.absolute(), seed)})
        print(json.dumps(runs[-1]), flush=True)
    name = f"{grid['task']} search until it passes the grid's best cell / whole grid"
    shares = [run["seconds"] / grid["seconds"] for run in runs]
    measured = Measurement(name, "", 0.2, "most", shares)
    print(table(write("real_search", [measured], grid=grid, runs=runs)))


def table(results: Mapping[str, Any]) -> str:
    """The grid and each search as a Markdown table."""
    grid = results["grid"]
    number = f"{{:.{2 if grid['task'] == 'colorizer' else 6}f}}"
    cells = (
        f"grid of {grid['cells']} cells, up to {grid['epochs']} epochs",
        f"{grid['seconds']:.0f}",
    )
    rows = [[*cells, "", number.format(grid["score"])]]
    for run in results["runs"]:
        share = run["seconds"] / grid["seconds"]
        name = f"search, seed {run['seed']}: {run['trials']} trials, {run['epochs']} epochs"
        rows.append([name, f"{run['seconds']:.0f}", f"{share:.2f}", number.format(run["score"])])
    metric = "val_psnr" if grid["task"] == "colorizer" else "val_mse"
    return markdown(("", "seconds", "of the grid's", f"best {metric}"), rows)


def _grid(folder: Path) -> dict[str, Any]:
    """What the grid found in which time."""
    document = json.loads((folder / "launch.json").read_text())
    cells = [json.loads(file.read_text()) for file in folder.glob("*/cells/*/cell.json")]
    is_colorizer = document["task"] == "colorizer"
    metric, best = ("val_psnr", max) if is_colorizer else ("val_mse", min)
    winner = best(cells, key=lambda cell: cell["metrics"][metric])
    return {
        "task": document["task"],
        "dataset": document["dataset"],
        "data": document["dataset_digest"],
        "cells": len(cells),
        "model": winner["params"]["model"],
        "epochs": max(cell["params"]["epochs"] for cell in cells),
        "best": winner["cell_id"],
        "score": winner["metrics"][metric],
        "seconds": (max(cell["ended"] for cell in cells) - document["created"]) / 1000,
    }


def _search(grid: dict[str, Any], data_root: Path, seed: int) -> dict[str, Any]:
    """Search until the score is passed, at most as long as the grid took."""
    with tempfile.TemporaryDirectory() as scratch:
        began = time.perf_counter()
        launch = chromatune.search(
            grid["task"],
            config=f"search_{grid['task']}",
            set_={
                "search.points": [],
                "search.space.epochs": grid["epochs"],
                "search.space.model": grid["model"],
            },
            dataset=grid["dataset"],
            data=grid["data"],
            data_root=data_root,
            seed=seed,
            num_samples=1000,
            warm_start=False,
            storage_path=f"{scratch}/launches",
            tracking_uri=f"sqlite:///{scratch}/mlflow.db",
            background=True,
        )
        sign = 1 if grid["task"] == "colorizer" else -1
        scores: list[float] = []
        seconds = 0.0
        while seconds < grid["seconds"] and not any(
            sign * score > sign * grid["score"] for score in scores
        ):
            time.sleep(_POLL_S)
            trials = launch.study.trials
            scores = [score for t in trials for score in t.intermediate_values.values()]
            seconds = time.perf_counter() - began
        launch.stop()
        epochs = sum(max(trial.intermediate_values, default=0) for trial in trials)
    best = max(scores, key=lambda score: sign * score)
    return {"seconds": seconds, "score": best, "trials": len(trials), "epochs": epochs}


if __name__ == "__main__":
    main()
