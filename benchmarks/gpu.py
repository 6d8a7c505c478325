"""The published networks on one GPU: seconds an epoch, alone and beside other trials.

    python -m benchmarks.gpu --data-root data

Needs what `--backend serial` needs, and no Ray and no MLflow. Naive is the program behind the
original paper (`benchmarks/ways/naive.py`), ours is `fit()`, in 1, 2, 4 and 8 processes at once.
With `--grids`, both published grids are trained by `chromatune grid --backend serial` as well.
`--device cpu --epoch-scale 0.01` tries it without a GPU.
"""

from __future__ import annotations

import argparse
import math
import multiprocessing
import sys
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch

from benchmarks.harness import markdown, timed, write
from benchmarks.ways import naive
from benchmarks.ways.data import load
from tuning.config.schema import DataConfig
from tuning.launch.open_dataset import open_prepared
from tuning.training.config import FitConfig
from tuning.training.data import load_task_data
from tuning.training.devices import pick_device
from tuning.training.loop import fit

NETWORKS = (
    *(("regression", model, "relu") for model in ("fc", "cnn1", "cnn2", "cnn3")),
    ("colorizer", "autoencoder", "tanh"),
)
_AT_ONCE = (1, 2, 4, 8)
_EPOCHS = 20  # of a training that is timed, at full scale
_LR = 1e-4


def main(words: Sequence[str] | None = None) -> None:
    options = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    options.add_argument("--data-root", type=Path, default=Path("data"))
    options.add_argument("--dataset", default="faces")
    options.add_argument("--size", type=int, default=128)
    options.add_argument("--augment", type=int, default=10)
    options.add_argument("--count", type=int)
    options.add_argument("--device", choices=("auto", "cuda", "cpu"), default="auto")
    options.add_argument("--epoch-scale", type=float, default=1.0)
    options.add_argument("--networks", nargs="+", help="Only these.")
    options.add_argument("--most", type=int, default=_AT_ONCE[-1], help="Trials at once.")
    options.add_argument("--grids", action="store_true", help="Train both grids, too: hours.")
    asked = options.parse_args(words)
    device = pick_device(asked.device)
    data = DataConfig(
        dataset=asked.dataset,
        root=asked.data_root.absolute(),
        size=asked.size,
        augment=asked.augment,
        count=asked.count,
    )
    epochs = max(1, math.floor(_EPOCHS * asked.epoch_scale + 0.5))
    rows = [
        _measured(data, *network, device, epochs, asked.most)
        for network in NETWORKS
        if not asked.networks or network[1] in asked.networks
    ]
    grids = _grids(data, asked.epoch_scale) if asked.grids else {}
    write("gpu", [], device=device, epochs=epochs, networks=rows, grids=grids)
    print(table(rows))


def table(rows: Sequence[dict[str, Any]]) -> str:
    """Seconds an epoch as Markdown: naive, and so many of ours at once."""
    counts = [f"{count} of ours at once" for count in rows[0]["ours"]]
    cells = (
        (row["network"], f"{row['naive']:.3g} s", *(f"{s:.3g} s" for s in row["ours"].values()))
        for row in rows
    )
    return markdown(("network", "naive", *counts), cells)


def _measured(
    data: DataConfig, task: str, model: str, head: str, device: str, epochs: int, most: int
) -> dict[str, Any]:
    ours = partial(_seconds_per_epoch, data, task, model, head, device, epochs)
    row = {
        "network": model,
        "naive": _naive_seconds(data, task, model, head, device, epochs),
        "ours": {str(count): _at_once(ours, count) for count in _AT_ONCE if count <= most},
    }
    print(row, flush=True)
    return row


def _seconds_per_epoch(
    data: DataConfig, task: str, model: str, head: str, device: str, epochs: int, seed: int
) -> float:
    """The mean of all epochs after the first, in which a device warms up, if there are several."""
    dataset = open_prepared(data)
    config = FitConfig(
        *(model, head, _LR, (epochs + 1,)),
        image_size=dataset.size,
        eval_every=epochs + 1,
        seed=seed,
    )
    results = fit(config, load_task_data(dataset, task), device=device)
    first, *others = (float(result.record["seconds"]) for result in results)
    return math.fsum(others) / len(others) if others else first


def _naive_seconds(
    data: DataConfig, task: str, model: str, head: str, device: str, epochs: int
) -> float:
    """The difference between a training and one that is an epoch long, an epoch."""
    train, val = (load(data, side, task) for side in ("train", "val"))
    times = []
    for count in (1, epochs + 1):
        started = time.perf_counter()
        naive.train_cell(model, head, _LR, count, train, val, torch.device(device))
        times.append(time.perf_counter() - started)
    return (times[1] - times[0]) / epochs


def _at_once(train: partial[float], count: int) -> float:
    """Seconds in which `count` processes, each with a training of its own, all train an epoch."""
    with multiprocessing.get_context("spawn").Pool(count, torch.set_num_threads, (1,)) as pool:
        return max(pool.map(train, range(count), chunksize=1))


def _grids(data: DataConfig, scale: float) -> dict[str, float]:
    """Seconds of both grids with the serial backend, which tracks nothing."""
    words = ["--dataset", data.dataset, "--data-root", str(data.root), "--size", str(data.size)]
    words += ["--augment", str(data.augment), "--backend", "serial", "--epoch-scale", str(scale)]
    words += ["--count", str(data.count)] if data.count else []
    folder = Path("ray_results")
    folder.mkdir(exist_ok=True)
    return {
        task: timed(["tuning", "grid", task, *words], folder / f"gpu-{task}.log")
        for task in ("regression", "colorizer")
    }


if __name__ == "__main__":
    main(sys.argv[1:])
