"""Measure the models that configs/champion_*.yaml produced: `make champions`.

Finds each file's launches, one per seed, loads every model from MLflow and measures it on the test
set. The figures must equal those on its run. Writes docs/results/champions.json.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from data_prep import PreparedDataset
from models import ChromaModel
from tuning.config.schema import TrainLaunchConfig, configs_folder, resolve
from tuning.utils import environment, provenance

environment.set_defaults()

from tuning.display.published import best_published  # noqa: E402
from tuning.errors import ChromatuneError  # noqa: E402
from tuning.launch.folder import Launch, list_launches  # noqa: E402
from tuning.launch.open_dataset import open_prepared  # noqa: E402
from tuning.launch.outcomes import LaunchOutcome  # noqa: E402
from tuning.tracking.address import tracking_uri  # noqa: E402
from tuning.tracking.evaluation import constant_on_test, measure_model  # noqa: E402
from tuning.tracking.fetch_weights import load_registered  # noqa: E402
from tuning.tracking.registry.catalog import find_champion  # noqa: E402
from tuning.training.config import FitConfig  # noqa: E402
from tuning.training.data import DeviceSplit, load_split  # noqa: E402
from tuning.training.metrics import predict, psnr  # noqa: E402
from tuning.workflows.test_results import delivered_cells  # noqa: E402
from tuning.workflows.train import train_fit  # noqa: E402

RESULTS = Path(__file__).resolve().parent / "results" / "champions.json"


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure the champions and write their results.")
    parser.add_argument("--data-root", type=Path, default=Path("data"))
    parser.add_argument("--storage-path", default="ray_results")
    parser.add_argument("--tracking-uri")
    asked = parser.parse_args()
    uri = tracking_uri(asked.tracking_uri)
    launches = [found for found in list_launches(asked.storage_path) if found.kind == "train"]
    files = sorted(configs_folder().glob("champion_*.yaml"))
    found = [_measured(file, asked.data_root, launches, uri) for file in files]
    results = {"champions": found, "measured_with": provenance.versions()}
    RESULTS.write_text(json.dumps(results, indent=1) + "\n")


def _measured(file: Path, data_root: Path, launches: list[Launch], uri: str) -> dict[str, Any]:
    """What a champion's configuration has produced, with every seed."""
    config = resolve(TrainLaunchConfig, file=file, flags={"data.root": data_root})
    dataset = open_prepared(config.data)
    fit = train_fit(config, dataset.size)
    task = fit.task
    published = best_published(dataset.name, task)
    runs = [
        run
        for launch in launches
        if launch.document["dataset_digest"] == dataset.digest
        and _equals_but_for_the_seed(launch.trainings[0].fit, fit)
        for run in _runs(launch, dataset, task, uri)
    ]
    return {
        "config": f"configs/{file.name}",
        "command": f"chromatune train -c {file.stem}",
        "task": task,
        "dataset": dataset.name,
        "split": config.data.split,
        "dataset_digest": dataset.digest,
        "published": dict(published.metrics) if published else {},
        "constant": constant_on_test(dataset, task),
        "runs": sorted(runs, key=lambda run: int(run["seed"])),
    }


def _runs(
    launch: Launch, dataset: PreparedDataset, task: str, uri: str
) -> Iterator[dict[str, Any]]:
    champion = find_champion(uri, dataset.name, task)
    for cell in delivered_cells(uri, LaunchOutcome(launch, [])):
        model = load_registered(cell.model_uri, uri)
        metrics = measure_model(model, dataset, task)
        logged = {key: cell.metrics[key] for key in metrics}
        if metrics != logged:
            raise ChromatuneError(f"{cell.run_id} measures {metrics}, but MLflow has {logged}")
        yield {
            "seed": launch.trainings[0].fit.seed,
            "test_metrics": metrics,
            "categories": _psnr_by_category(model, dataset),
            "seconds": cell.metrics["train_seconds"],
            "champion": champion is not None and champion.run_id == cell.run_id,
            **{key: launch.document[key] for key in ("git_commit", "hardware", "versions")},
        }


def _psnr_by_category(model: ChromaModel, dataset: PreparedDataset) -> dict[str, dict[str, float]]:
    """A colorizer's PSNR over the test images of each category, and their number."""
    names = [entry.category for entry in dataset.files("test")]
    if model.task != "colorizer" or None in names:
        return {}
    split = load_split(dataset, "test", "colorizer")
    predicted = predict(model, DeviceSplit(split, "means", torch.device("cpu")))
    true = np.stack(split.planes, axis=1) / 255
    errors = np.square(predicted - true).mean(axis=(1, 2, 3))
    found = {}
    for name in sorted({str(name) for name in names}):
        own = errors[[other == name for other in names]]
        found[name] = {"psnr": psnr(float(own.mean())), "pictures": len(own)}
    return found


def _equals_but_for_the_seed(fit: FitConfig, other: FitConfig) -> bool:
    same_seed = dataclasses.replace(fit, seed=other.seed)
    return same_seed.identity() == other.identity() and fit.milestones == other.milestones


if __name__ == "__main__":
    main()
