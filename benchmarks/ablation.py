"""What each ingredient of a champion's training brings, at a small fixed budget.

    python -m benchmarks.ablation -c configs/champion_colorizer_faces.yaml --epochs 2 --seeds 0,1

The recipe is trained whole, then once without each ingredient, with every seed, one after another
on one thread, through the same `fit()` as any trial. Scores are those of the validation set. The
results go to benchmarks/results/ablation.json as they come, so an interrupted run goes on.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import shlex
import statistics
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from models import model_task
from tuning.config.schema import TrainLaunchConfig, resolve
from tuning.launch.datasets import open_prepared
from tuning.training.config import FitConfig
from tuning.training.data import TaskData, load_task_data
from tuning.training.loop import fit
from tuning.training.tasks import CRITERIA
from tuning.utils import provenance
from tuning.workflows.train import train_fit

RESULTS = Path(__file__).parent / "results" / "ablation.json"
CUTS = {"flip": False, "zoom": 1.0, "shift": 0.0, "rotate": 0.0}

# What takes each ingredient's place; a row of the table each.
WITHOUT: Mapping[str, dict[str, Any]] = {
    "the whole recipe": {},
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
    "the report's autoencoder in the U-Net's place": {
        "model": "autoencoder",
        "model_kwargs": {},
        "category_weight": 0.0,
    },
}


def main() -> None:
    arguments = _arguments()
    config = resolve(TrainLaunchConfig, file=arguments.config, overrides=arguments.set or ())
    dataset = open_prepared(config.data)
    whole = dataclasses.replace(
        train_fit(config, dataset.size), milestones=(arguments.epochs,), eval_every=1
    )
    data = load_task_data(dataset, model_task(whole.model), planes=True)
    torch.set_num_threads(1)
    results = _opened(whole, data, [int(seed) for seed in arguments.seeds.split(",")])
    for seed in results["seeds"]:
        for name, changes in WITHOUT.items():
            if not any((run["name"], run["seed"]) == (name, seed) for run in results["runs"]):
                variant = dataclasses.replace(whole, seed=seed, **changes)
                results["runs"].append({"name": name, "seed": seed, **_trained(variant, data)})
                _write(results)
                print(json.dumps(results["runs"][-1]), file=sys.stderr, flush=True)
    print(table(results))


def table(results: Mapping[str, Any]) -> str:
    """The results as a Markdown table: per row the mean over the seeds, and how far they spread."""
    metric = results["metric"]
    lines = [
        f"| | {metric}, mean of {len(results['seeds'])} seeds | lowest to highest | against the "
        "whole | seconds a run |",
        "|---|---|---|---|---|",
    ]
    reference = statistics.mean(_scores(results, "the whole recipe"))
    for name in WITHOUT:
        scores = _scores(results, name)
        if not scores:
            continue
        mean = statistics.mean(scores)
        seconds = [run["seconds"] for run in results["runs"] if run["name"] == name]
        lines.append(
            f"| {name} | {mean:.2f} | {min(scores):.2f} to {max(scores):.2f} | "
            f"{mean - reference:+.2f} | {statistics.mean(seconds):.0f} |"
        )
    return "\n".join(lines) + "\n"


def _scores(results: Mapping[str, Any], name: str) -> list[float]:
    return [run["score"] for run in results["runs"] if run["name"] == name]


def _trained(config: FitConfig, data: TaskData) -> dict[str, float]:
    *_, last = fit(config, data)
    criterion = CRITERIA[data.task]
    _, record = last.state.kept()
    seconds = sum(one["seconds"] for one in last.state.history)
    return {"score": criterion.value(record, "val_"), "seconds": seconds}


def _opened(whole: FitConfig, data: TaskData, seeds: list[int]) -> dict[str, Any]:
    """Go on with the results of the very same runs, or begin new ones."""
    subject = {
        "recipe": json.loads(json.dumps(whole.identity() | {"epochs": whole.epochs})),
        "dataset": data.dataset,
        "dataset_digest": data.digest,
        "metric": f"val_{CRITERIA[data.task].name}",
        "seeds": seeds,
    }
    if RESULTS.is_file():
        known: dict[str, Any] = json.loads(RESULTS.read_text())
        if {key: known.get(key) for key in subject} == subject:
            return known
    return {
        **subject,
        "command": shlex.join(["python", "-m", "benchmarks.ablation", *sys.argv[1:]]),
        "hardware": provenance.hardware(),
        "versions": provenance.versions(),
        "runs": [],
    }


def _write(results: Mapping[str, Any]) -> None:
    RESULTS.parent.mkdir(exist_ok=True)
    scratch = RESULTS.with_suffix(".tmp")
    scratch.write_text(json.dumps(results, indent=1) + "\n")
    scratch.replace(RESULTS)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("-c", "--config", type=Path, required=True)
    parser.add_argument("--set", action="append", help="Override a key of the configuration.")
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--seeds", default="0,1")
    return parser.parse_args()


if __name__ == "__main__":
    main()
