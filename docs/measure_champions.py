"""Measure the models that configs/champion_*.yaml have made: `make champions`.

Looks for each file's trainings among the launches of a storage path, one per seed, loads every
model anew from MLflow, measures it on the test set and holds that against the figures on its run,
which must be the very same. Writes docs/results/champions.json; nothing in it is typed in by hand.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch

from data_prep import PreparedDataset
from models import ChromaModel, model_task
from tuning.config.schema import TrainLaunchConfig, configs_folder, resolve
from tuning.utils import environment, provenance

environment.set_defaults()

from tuning.display.published import best_published  # noqa: E402
from tuning.errors import ChromatuneError  # noqa: E402
from tuning.launch.datasets import open_prepared  # noqa: E402
from tuning.launch.folder import list_launches  # noqa: E402
from tuning.tracking.evaluation import constant_on_test, measure_model  # noqa: E402
from tuning.tracking.registry.versions import find_champion  # noqa: E402
from tuning.tracking.store import tracking_uri  # noqa: E402
from tuning.tracking.weights import load_registered  # noqa: E402
from tuning.training.config import FitConfig  # noqa: E402
from tuning.training.data import DeviceSplit, checked_task, load_split  # noqa: E402
from tuning.training.metrics import predict, psnr  # noqa: E402
from tuning.workflows.evaluation import launch_cells  # noqa: E402
from tuning.workflows.train import train_fit  # noqa: E402

RESULTS = Path(__file__).resolve().parent / "results" / "champions.json"


def measured_champions(data_root: Path, storage_path: str, uri: str) -> dict[str, Any]:
    """Measure what every champion's configuration has made, in the order of the files' names."""
    found = []
    for file in sorted(configs_folder().glob("champion_*.yaml")):
        config = resolve(TrainLaunchConfig, file=file, flags={"data.root": data_root})
        dataset = open_prepared(config.data)
        fit = train_fit(config, dataset.size)
        task = checked_task(model_task(fit.model))
        published = best_published(dataset.name, task)
        champion = find_champion(uri, dataset.name, task)
        runs = []
        for launch in list_launches(storage_path):
            if launch.kind != "train" or launch.document["dataset_digest"] != dataset.digest:
                continue
            (training,) = launch.trainings
            if not _same_but_for_the_seed(training.fit, fit):
                continue
            for cell in launch_cells(uri, launch).values():
                model = load_registered(cell.model_uri, uri)
                metrics = measure_model(model, dataset, task)
                logged = {key: cell.metrics[key] for key in metrics}
                if metrics != logged:
                    raise ChromatuneError(f"{cell.run_id} measures {metrics}, not {logged}")
                runs.append(
                    {
                        "seed": training.fit.seed,
                        "test_metrics": metrics,
                        "categories": psnr_by_category(model, dataset),
                        "seconds": cell.metrics["train_seconds"],
                        "champion": champion is not None and champion.run_id == cell.run_id,
                        "git_commit": launch.document["git_commit"],
                        "hardware": launch.document["hardware"],
                        "versions": launch.document["versions"],
                    }
                )
        found.append(
            {
                "config": f"configs/{file.name}",
                "command": f"chromatune train -c configs/{file.name}",
                "task": task,
                "dataset": dataset.name,
                "split": config.data.split,
                "dataset_digest": dataset.digest,
                "published": dict(published.metrics) if published else {},
                "constant": constant_on_test(dataset, task),
                "runs": sorted(runs, key=lambda run: int(run["seed"])),
            }
        )
    return {"champions": found, "measured_with": provenance.versions()}


def psnr_by_category(model: ChromaModel, dataset: PreparedDataset) -> dict[str, dict[str, float]]:
    """A colorizer's PSNR over each category's test pictures, and how many there are."""
    names = [entry.category for entry in dataset.files("test")]
    if model.task != "colorizer" or None in names:
        return {}
    split = load_split(dataset, "test", "colorizer")
    predicted = predict(model, DeviceSplit(split, "means", torch.device("cpu")))
    true = np.stack(split.planes, axis=1) / 255
    errors = np.square(predicted - true).mean(axis=(1, 2, 3))
    found = {}
    for name in sorted(set(names)):
        own = errors[[other == name for other in names]]
        found[str(name)] = {"psnr": psnr(float(own.mean())), "pictures": len(own)}
    return found


def _same_but_for_the_seed(one: FitConfig, other: FitConfig) -> bool:
    return (
        dataclasses.replace(one, seed=other.seed).identity() == other.identity()
        and one.milestones == other.milestones
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Measure the champions and write their results.")
    parser.add_argument("--data-root", type=Path, default=Path("data"))
    parser.add_argument("--storage-path", default="ray_results")
    parser.add_argument("--tracking-uri")
    options = parser.parse_args()
    results = measured_champions(
        options.data_root, options.storage_path, tracking_uri(options.tracking_uri)
    )
    RESULTS.write_text(json.dumps(results, indent=1) + "\n")
