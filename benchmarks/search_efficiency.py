"""How much training a search needs to pass the best cell of the exact grid.

    python -m benchmarks.search_efficiency --dataset faces --augment 1 --batch-size 16

For each seed the report's colorizer grid is trained whole, at scaled epochs, through `fit()`; then
`chromatune search` runs over the same network's training options on a Ray of its own, one trial at
a time, on the same data. Counted are epochs of training up to the first validation whose PSNR is
above the best cell's, over all of the grid's. Results go to benchmarks/results as they come.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import shlex
import statistics
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from rich.console import Console

from tuning.config.schema import REPORT_GRIDS, DataConfig, GridConfig, TrainingConfig, resolve
from tuning.utils import environment, provenance

environment.set_defaults()

from tuning.config.search import SearchLaunchConfig  # noqa: E402
from tuning.launch.datasets import open_prepared  # noqa: E402
from tuning.launch.trainings import grid_trainings  # noqa: E402
from tuning.training.data import load_task_data  # noqa: E402
from tuning.training.loop import fit  # noqa: E402
from tuning.workflows.search import run_search  # noqa: E402

RESULTS = Path(__file__).parent / "results" / "search_efficiency.json"
BAR = 1 / 5


def main() -> None:
    arguments = _arguments()
    data = DataConfig(dataset=arguments.dataset, augment=arguments.augment, count=arguments.count)
    dataset = open_prepared(data)
    results: dict[str, Any] = {
        "command": shlex.join(["python", "-m", "benchmarks.search_efficiency", *sys.argv[1:]]),
        "dataset": dataset.name,
        "dataset_digest": dataset.digest,
        "epoch_scale": arguments.epoch_scale,
        "batch_size": arguments.batch_size,
        "hardware": provenance.hardware(),
        "versions": provenance.versions(),
        "runs": [],
    }
    torch.set_num_threads(1)
    for seed in map(int, arguments.seeds.split(",")):
        training = TrainingConfig(batch_size=arguments.batch_size, seed=seed)
        grid = _grid(data, training, arguments.epoch_scale)
        search = _search(data, training, grid["longest"], grid["best"])
        results["runs"].append({"seed": seed, "grid": grid, "search": search})
        print(json.dumps(results["runs"][-1]), file=sys.stderr, flush=True)
        _write(results)
    print(table(results))


def table(results: Mapping[str, Any]) -> str:
    """The results as a Markdown table, a row for each seed and the median."""
    lines = [
        "| seed | best cell of the grid | epochs of the grid | epochs until the search is past it "
        "| share | best of the search |",
        "|---|---|---|---|---|---|",
    ]
    shares = []
    for run in results["runs"]:
        grid, search = run["grid"], run["search"]
        passed = search["epochs_until_past"]
        shares.append(passed / grid["epochs"] if passed else float("inf"))
        share = f"{shares[-1]:.2f}" if passed else "not passed"
        count = str(passed) if passed else f"more than {search['epochs']}"
        lines.append(
            f"| {run['seed']} | {grid['best']:.2f} dB ({grid['cell']}) | {grid['epochs']} | "
            f"{count} | {share} | {search['best']:.2f} dB |"
        )
    median = statistics.median(shares)
    verdict = "met" if median <= BAR else "missed"
    lines.append(f"| median | | | | **{median:.2f}** (bar: at most {BAR:g}, {verdict}) | |")
    return "\n".join(lines) + "\n"


def _grid(data: DataConfig, training: TrainingConfig, scale: float) -> dict[str, Any]:
    """Train the report's colorizer grid; its best cell, and all the epochs it took."""
    dataset = open_prepared(data)
    grid = GridConfig(**REPORT_GRIDS["colorizer"], epoch_scale=scale)
    task_data = load_task_data(dataset, "colorizer")
    best, cell, epochs, longest = float("-inf"), "", 0, 0
    for one in grid_trainings("colorizer", grid, training, dataset.size):
        # Only the cells are validated: nothing else of a grid counts.
        config = dataclasses.replace(one.fit, eval_every=one.epochs)
        for result in fit(config, task_data):
            if result.milestone and result.record["val_psnr"] > best:
                best, cell = result.record["val_psnr"], one.cell_at(result.record["epoch"]).cell_id
        epochs, longest = epochs + one.epochs, max(longest, one.epochs)
    return {"best": best, "cell": cell, "epochs": epochs, "longest": longest}


def _search(
    data: DataConfig, training: TrainingConfig, longest: int, target: float
) -> dict[str, Any]:
    """Search with up to four trials, and find the epoch at which the target was passed."""
    space = {
        "model": "autoencoder",
        "head": {"type": "categorical", "choices": ["relu", "sigmoid", "tanh"]},
        "epochs": longest,
        "lr": {"type": "float", "low": 1e-4, "high": 1e-2, "log": True},
        "optimizer": {"type": "categorical", "choices": ["adam", "adamw"]},
        "weight_decay": {"type": "float", "low": 1e-6, "high": 1e-1, "log": True},
        "schedule": {"type": "categorical", "choices": ["constant", "cosine", "onecycle"]},
        "warmup": {"type": "float", "low": 0.0, "high": 0.3, "step": 0.1},
        "ema": {"type": "categorical", "choices": [0.0, 0.9, 0.99]},
        "shuffle": {"type": "categorical", "choices": [False, True]},
        "flip_average": {"type": "categorical", "choices": [False, True]},
    }
    # The start that configs/search_colorizer.yaml gives every search.
    recipe = {
        "head": "tanh",
        "optimizer": "adamw",
        "schedule": "onecycle",
        "lr": 3e-3,
        "ema": 0.99,
        "shuffle": True,
    }
    with tempfile.TemporaryDirectory() as scratch:
        config = resolve(
            SearchLaunchConfig,
            defaults={
                "data": data.model_dump(exclude_unset=True),
                "training": {**training.model_dump(), "eval_every": 1},
                "storage_path": f"{scratch}/ray_results",
                "search": {
                    "space": space,
                    "points": [recipe],
                    "num_samples": 4,
                    "warm_start": False,
                },
                "resources": {"max_concurrent_trials": 1},
            },
        )
        outcome = run_search(
            "colorizer",
            config,
            tracking_uri=f"sqlite:///{scratch}/mlruns/mlflow.db",
            console=Console(stderr=True, quiet=True),
        )
        # Epochs of trials that diverged are epochs too.
        folder = Path(outcome.launch.storage.uri)
        files = [*folder.glob("*/cells/*/cell.json"), *folder.glob("*/failed.json")]
        histories = [json.loads(file.read_text())["history"] for file in files]
    records = sorted(
        (record for history in histories for record in history), key=lambda one: one["timestamp"]
    )
    scores = [record.get("val_psnr", float("-inf")) for record in records]
    past = next((count for count, score in enumerate(scores, start=1) if score > target), None)
    return {"epochs": len(records), "epochs_until_past": past, "best": max(scores)}


def _write(results: Mapping[str, Any]) -> None:
    RESULTS.parent.mkdir(exist_ok=True)
    scratch = RESULTS.with_suffix(".tmp")
    scratch.write_text(json.dumps(results, indent=1) + "\n")
    scratch.replace(RESULTS)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="The search against the exact grid.")
    parser.add_argument("--dataset", default="synthetic-faces")
    parser.add_argument("--augment", type=int, default=1)
    parser.add_argument("--count", type=int, help="Pictures of a synthetic dataset.")
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--epoch-scale", type=float, default=0.05)
    parser.add_argument("--seeds", default="0,1,2")
    return parser.parse_args()


if __name__ == "__main__":
    main()
