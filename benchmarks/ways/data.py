"""Options and data of the other implementations."""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import numpy.typing as npt

from tuning.config.schema import REPORT_GRIDS, DataConfig, GridConfig
from tuning.launch.open_dataset import open_prepared

Floats = npt.NDArray[np.float64]


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("task", choices=("regression", "colorizer"))
    parser.add_argument("--data-root", type=Path, default=Path("data"))
    parser.add_argument("--dataset", default="faces")
    parser.add_argument("--augment", type=int, default=1)
    parser.add_argument("--epochs", default="1,3,5")
    parser.add_argument("--lrs", help="Only these learning rates.")
    parser.add_argument("--heads", help="Only these heads.")
    parser.add_argument("--out", type=Path, required=True, help="Where the cells' scores go.")
    parser.add_argument("--tracking-uri", default="sqlite:///mlruns/mlflow.db")
    return parser.parse_args()


def asked_grid(asked: argparse.Namespace) -> GridConfig:
    """The published grid of the task with the given epochs, learning rates and heads."""
    grid = {
        **REPORT_GRIDS[asked.task],
        "epochs": [int(epochs) for epochs in asked.epochs.split(",")],
    }
    if asked.lrs:
        grid["lrs"] = [float(lr) for lr in asked.lrs.split(",")]
    if asked.heads:
        grid["heads"] = asked.heads.split(",")
    return GridConfig(**grid)


def asked_data(asked: argparse.Namespace) -> DataConfig:
    return DataConfig(dataset=asked.dataset, root=asked.data_root.absolute(), augment=asked.augment)


def load(data: DataConfig, side: str, task: str) -> tuple[Floats, Floats]:
    """L as float64 (N, 1, H, W) in [0, 1], and the targets: means (N, 2) or planes (N, 2, H, W)."""
    planes = open_prepared(data).planes(side)  # type: ignore[arg-type]
    L = np.asarray(planes.L)[:, None] / 255.0
    target = np.stack([planes.a, planes.b], axis=1) / 255.0
    return L, target.mean(axis=(2, 3)) if task == "regression" else target
