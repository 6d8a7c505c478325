"""Small data that every test of this package can train on."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from tuning.config.schema import Task
from tuning.training.data import Split, TaskData

MakeData = Callable[..., TaskData]


def _split(count: int, size: int, seed: int, task: Task) -> Split:
    """Smooth pictures in one tint each, with some noise; read-only, as shared arrays are."""
    rng = np.random.default_rng(seed)
    ramp = np.linspace(0, 1, size)
    slopes = rng.uniform(-40, 40, (2, 3, count, 1, 1))
    base = rng.uniform([120, 110, 120], [140, 150, 150], (count, 3)).T[:, :, None, None]
    noise = rng.normal(0, 4, (3, count, size, size))
    planes = base + slopes[0] * ramp[:, None] + slopes[1] * ramp + noise
    L, a, b = planes.round().clip(0, 255).astype(np.uint8)
    for plane in (L, a, b):
        plane.setflags(write=False)
    mean_ab = np.stack([a.mean(axis=(1, 2)), b.mean(axis=(1, 2))], axis=1) / 255
    if task == "regression":
        return Split(L, None, None, mean_ab.astype(np.float32))
    return Split(L, a, b, mean_ab.astype(np.float32))


@pytest.fixture(scope="session")
def make_data() -> MakeData:
    """A function (task, train=10, val=8, size=64, seed=0) -> TaskData."""

    def make(
        task: Task, *, train: int = 10, val: int = 8, size: int = 64, seed: int = 0
    ) -> TaskData:
        splits = [_split(count, size, seed + i, task) for i, count in enumerate((train, val))]
        mean_a, mean_b = splits[0].mean_ab.mean(axis=0, dtype=np.float64)
        return TaskData(
            task=task,
            dataset="synthetic-tints",
            digest=f"digest-of-seed-{seed}",
            image_size=size,
            train=splits[0],
            val=splits[1],
            baseline_ab=(float(mean_a), float(mean_b)),
        )

    return make
