"""What each ingredient of a champion's training contributes, at a small fixed budget.

    python -m benchmarks.ablation -c configs/champion_colorizer_faces.yaml --epochs 2 --seeds 0,1

The recipe is trained as it is, then once without each ingredient, with every seed, through `fit()`
on one thread. Scores are those of the validation set.
"""

from __future__ import annotations

import argparse
import dataclasses
import statistics
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from benchmarks.harness import write
from tuning.config.schema import TrainLaunchConfig, resolve
from tuning.launch.datasets import open_prepared
from tuning.training.config import FitConfig
from tuning.training.data import TaskData, load_task_data
from tuning.training.loop import fit
from tuning.training.tasks import CRITERIA
from tuning.workflows.train import train_fit

WHOLE = "the whole recipe"
CUTS = {"flip": False, "zoom": 1.0, "shift": 0.0, "rotate": 0.0}

# The rows of the table, each with what replaces the ingredient.
VARIANTS: Mapping[str, dict[str, Any]] = {
    WHOLE: {},
    "without averaged weights": {"ema": 0.0},
    "without flip averaging": {"flip_average": False},
    "without cuts on the device (prepared copies instead)": {**CUTS, "shuffle": True},
    "constant learning rate instead of one cycle": {"schedule": "constant", "warmup": 0.0},
    "Adam instead of AdamW": {"optimizer": "adam", "weight_decay": 1e-5},
    "L1 instead of MSE": {"loss": "l1"},
    "Huber instead of MSE": {"loss": "huber"},
    "without the term of the mean": {"mean_weight": 0.0},
    "float32 instead of bfloat16": {"precision": "float32"},
    "batches of 100": {"batch_size": 100},
    "the published autoencoder instead of the U-Net": {
        "model": "autoencoder",
        "model_kwargs": {},
        "category_weight": 0.0,
    },
}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("-c", "--config", type=Path, required=True)
    parser.add_argument("--set", action="append", help="Override a key of the configuration.")
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--seeds", default="0,1")
    asked = parser.parse_args()
    config = resolve(TrainLaunchConfig, file=asked.config, overrides=asked.set or ())
    dataset = open_prepared(config.data)
    whole = dataclasses.replace(
        train_fit(config, dataset.size), milestones=(asked.epochs,), eval_every=1
    )
    data = load_task_data(dataset, whole.task, planes=True)
    torch.set_num_threads(1)
    seeds = [int(seed) for seed in asked.seeds.split(",")]
    runs = []
    for seed in seeds:
        for name, changes in VARIANTS.items():
            variant = dataclasses.replace(whole, seed=seed, **changes)
            runs.append({"name": name, "seed": seed, **_trained(variant, data)})
            print(runs[-1], flush=True)
    metric = f"val_{CRITERIA[data.task].name}"
    print(table(write("ablation", [], dataset=data.dataset, metric=metric, seeds=seeds, runs=runs)))


def table(results: Mapping[str, Any]) -> str:
    """The results as a Markdown table: per row the mean over the seeds, and the range."""
    by_name = {name: [run for run in results["runs"] if run["name"] == name] for name in VARIANTS}
    mean = {name: statistics.mean(run["score"] for run in runs) for name, runs in by_name.items()}
    lines = [
        f"| | {results['metric']}, mean of {len(results['seeds'])} seeds | lowest to highest "
        "| difference | seconds per run |",
        "|---|---|---|---|---|",
    ]
    for name, runs in by_name.items():
        scores = [run["score"] for run in runs]
        lines.append(
            f"| {name} | {mean[name]:.2f} | {min(scores):.2f} to {max(scores):.2f} | "
            f"{mean[name] - mean[WHOLE]:+.2f} | "
            f"{statistics.mean(run['seconds'] for run in runs):.0f} |"
        )
    return "\n".join(lines) + "\n"


def _trained(config: FitConfig, data: TaskData) -> dict[str, float]:
    *_, last = fit(config, data)
    _, record = last.state.kept()
    seconds = sum(epoch["seconds"] for epoch in last.state.history)
    return {"score": CRITERIA[data.task].value(record, "val_"), "seconds": seconds}


if __name__ == "__main__":
    main()
