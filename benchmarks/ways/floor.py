"""The floor: the trainings of a grid through `fit()` alone, one process per slot.

No Ray, no MLflow. Measures the seconds spent in `fit()` for every training, validation included,
and those of its steps alone; their sums divided by the number of slots are the floors.
"""

from __future__ import annotations

import json
import math
import multiprocessing
import os
import time

import torch

from benchmarks.ways.data import arguments, asked_data, asked_grid
from tuning.config.schema import TrainingConfig
from tuning.launch.open_dataset import open_prepared
from tuning.launch.trainings import Training, grid_trainings
from tuning.training.data import TaskData, load_task_data
from tuning.training.loop import fit


def main() -> None:
    asked = arguments()
    dataset = open_prepared(asked_data(asked))
    trainings = grid_trainings(asked.task, asked_grid(asked), TrainingConfig(), dataset.size)
    slots = len(os.sched_getaffinity(0))
    shared = (load_task_data(dataset, asked.task),)
    with multiprocessing.get_context("spawn").Pool(slots, _begin, shared) as pool:
        seconds = pool.map(_train, trainings, chunksize=1)
    whole, steps = zip(*seconds, strict=True)
    asked.out.write_text(json.dumps({"slots": slots, "seconds": whole, "steps": steps}, indent=1))


_data: TaskData


def _begin(data: TaskData) -> None:
    global _data
    _data = data
    torch.set_num_threads(1)


def _train(training: Training) -> tuple[float, float]:
    started = time.perf_counter()
    steps = math.fsum(result.record["seconds"] for result in fit(training.fit, _data))
    return time.perf_counter() - started, steps


if __name__ == "__main__":
    main()
