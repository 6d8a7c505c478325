"""Trainings of one network that share a device: in one process (`--pack`), or in one for each.

    python -m benchmarks.sharing --data-root data

On a GPU that is what a share of it brings (`--gpus-per-trial 1/n`), on a CPU what a core for each
process does. Every process computes on one thread.
"""

from __future__ import annotations

import argparse
import itertools
import multiprocessing
import os
import statistics
import time
from collections.abc import Callable, Mapping
from functools import partial
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Any

import torch

from benchmarks.measuring import write
from models import model_task
from tuning.backend.trainable import claim_device
from tuning.config.schema import DataConfig
from tuning.launch.datasets import open_prepared
from tuning.training.config import FitConfig
from tuning.training.data import TaskData, load_task_data
from tuning.training.devices import pick_device
from tuning.training.interleave import train_together
from tuning.training.loop import fit_in_turns

MODELS = {"cnn1": "relu", "autoencoder": "tanh"}
_PATIENCE_S = 600


def main() -> None:
    asked = _arguments()
    device = pick_device("auto")
    together = (1, 2, 4, 8) if device == "cuda" else (1, len(os.sched_getaffinity(0)))
    config = DataConfig(dataset=asked.dataset, root=str(asked.data_root), augment=asked.augment)
    dataset = open_prepared(config)
    rows = []
    for name, count in itertools.product(MODELS, together):
        data = load_task_data(dataset, model_task(name))
        ways: Mapping[str, Callable[[], tuple[float, float]]] = {
            "one process": partial(_in_one_process, name, count, data, asked.epochs),
            "a process each": partial(_in_processes, name, count, data, asked.epochs),
        }
        found: dict[str, list[tuple[float, float]]] = {way: [] for way in ways}
        for _ in range(asked.repetitions):
            for way, measure in ways.items():
                found[way].append(measure())
        for way, values in found.items():
            rates, bytes_ = zip(*values, strict=True)
            rows.append({"model": name, "trainings": count, "way": way})
            rows[-1] |= {"pictures_per_s": rates, "gpu_bytes": max(bytes_)}
            print(rows[-1], flush=True)
    write("sharing", [], device=device, rows=rows)
    print(table({"rows": rows}))


def table(results: Mapping[str, Any]) -> str:
    """The results as a Markdown table; n is how often each was measured."""
    lines = [
        "| network | trainings | in | pictures a second, all together: median | min | max | n "
        "| GPU memory |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in results["rows"]:
        rates = row["pictures_per_s"]
        figures = " | ".join(
            f"{value:,.0f}" for value in (statistics.median(rates), min(rates), max(rates))
        )
        memory = f"{row['gpu_bytes'] / 2**30:.1f} GiB" if row["gpu_bytes"] else ""
        lines.append(
            f"| {row['model']} | {row['trainings']} | {row['way']} | {figures} | {len(rates)} "
            f"| {memory} |"
        )
    return "\n".join(lines) + "\n"


def _in_one_process(name: str, count: int, data: TaskData, epochs: int) -> tuple[float, float]:
    """Pictures a second and bytes on the GPU, of trainings that share a process of their own."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        started, ended, bytes_ = pool.apply(_train, (name, range(count), data, epochs, 1.0, None))
    return count * epochs * len(data.train) / (ended - started), bytes_


def _in_processes(name: str, count: int, data: TaskData, epochs: int) -> tuple[float, float]:
    context = multiprocessing.get_context("spawn")
    with context.Manager() as manager, context.Pool(count) as pool:
        barrier = manager.Barrier(count)
        calls = [(name, [seed], data, epochs, 1 / count, barrier) for seed in range(count)]
        found = pool.starmap_async(_train, calls, chunksize=1).get(_PATIENCE_S)
    seconds = max(ended for _, ended, _ in found) - min(started for started, _, _ in found)
    return count * epochs * len(data.train) / seconds, sum(bytes_ for *_, bytes_ in found)


def _train(
    name: str,
    seeds: range | list[int],
    data: TaskData,
    epochs: int,
    gpus: float,
    barrier: Barrier | None,
) -> tuple[float, float, float]:
    """When all were past their first epoch, when so many later, and the bytes on the GPU."""
    torch.set_num_threads(1)
    device = claim_device(gpus)
    turns = {
        str(seed): fit_in_turns(
            FitConfig(
                model=name,
                head=MODELS[name],
                lr=1e-4,
                milestones=(2 + epochs,),
                image_size=data.image_size,
                eval_every=2 + epochs,
                seed=seed,
            ),
            data,
            device=device,
        )
        for seed in seeds
    }
    rounds = train_together(turns, device)
    next(rounds)
    if barrier is not None:
        barrier.wait()
    started = time.time()
    for _ in range(epochs):
        next(rounds)
    ended = time.time()
    return started, ended, float(torch.cuda.max_memory_reserved() if device == "cuda" else 0)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--data-root", type=Path, default=Path("data"))
    parser.add_argument("--dataset", default="faces")
    parser.add_argument("--augment", type=int, default=1)
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--repetitions", type=int, default=3)
    return parser.parse_args()


if __name__ == "__main__":
    main()
