"""A grid as in Ray Tune's tutorials: a trial per cell, a DataLoader, the stock MLflow callback.

Each trial loads the data, trains its cell from scratch, reports every epoch and saves a checkpoint
at the end. Everything else has Ray's defaults.
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import torch
from ray import init, tune
from ray.air.integrations.mlflow import MLflowLoggerCallback
from torch.utils.data import DataLoader, TensorDataset

from benchmarks.ways.data import Floats, arguments, asked_data, asked_grid, load
from models import create_model
from tuning.config.schema import DataConfig

BATCH = 100


def main() -> None:
    asked = arguments()
    grid = asked_grid(asked)
    has_gpu = torch.cuda.is_available()
    init(address="local", include_dashboard=False, log_to_driver=False)
    with tempfile.TemporaryDirectory() as scratch:
        tuner = tune.Tuner(
            tune.with_resources(train_cell, {"cpu": 1, "gpu": 0.25 if has_gpu else 0}),
            param_space={
                "model": tune.grid_search(grid.models),
                "head": tune.grid_search(grid.heads),
                "lr": tune.grid_search(grid.lrs),
                "epochs": tune.grid_search(grid.epochs),
                "task": asked.task,
                "data": asked_data(asked).model_dump(),
            },
            run_config=tune.RunConfig(
                storage_path=scratch,
                callbacks=[
                    MLflowLoggerCallback(
                        tracking_uri=asked.tracking_uri,
                        experiment_name=f"tutorial-{asked.task}",
                        save_artifact=True,
                    )
                ],
                verbose=0,
            ),
        )
        results = tuner.fit()
        if results.errors:
            raise SystemExit(f"a trial failed: {results.errors[0]}")
        cells = [
            {
                "cell": "{model}-{head}-{lr:g}-{epochs}".format(**result.config),
                "val_mse": result.metrics["val_mse"],
            }
            for result in results
        ]
    asked.out.write_text(json.dumps(cells, indent=1))


def train_cell(config: dict[str, Any]) -> None:
    """Train one cell."""
    data = DataConfig(**config["data"])
    device = "cuda" if torch.cuda.is_available() else "cpu"
    torch.manual_seed(0)
    train = DataLoader(
        _tensors(load(data, "train", config["task"])), batch_size=BATCH, shuffle=True
    )
    val = DataLoader(_tensors(load(data, "val", config["task"])), batch_size=BATCH)
    model = create_model(config["model"], head=config["head"]).to(device)
    optimizer = torch.optim.Adam(model.parameters(), lr=config["lr"], weight_decay=1e-5)
    for epoch in range(1, config["epochs"] + 1):
        model.train()
        for L, target in train:
            optimizer.zero_grad()
            loss = model.loss(L.to(device), target.to(device))
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
        metrics = {"train_loss": loss.item(), "val_mse": _mse(model, val, device)}
        if epoch < config["epochs"]:
            tune.report(metrics)
            continue
        with tempfile.TemporaryDirectory() as folder:
            torch.save(model.state_dict(), Path(folder) / "model.pt")
            tune.report(metrics, checkpoint=tune.Checkpoint.from_directory(folder))


def _mse(model: torch.nn.Module, val: DataLoader[Any], device: str) -> float:
    model.eval()
    total, count = 0.0, 0
    with torch.no_grad():
        for L, target in val:
            error = (model(L.to(device)).cpu() - target) ** 2
            total, count = total + error.sum().item(), count + error.numel()
    return total / count


def _tensors(arrays: tuple[Floats, Floats]) -> TensorDataset:
    return TensorDataset(*(torch.tensor(array, dtype=torch.float32) for array in arrays))


if __name__ == "__main__":
    main()
