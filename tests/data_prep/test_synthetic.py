"""Drawn pictures: the same everywhere, and worth learning from."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from data_prep import PrepareSettings, prepare
from data_prep.synthetic import SyntheticSource


@pytest.mark.parametrize("dataset", ["synthetic-faces", "synthetic-fruits"])
def test_deterministic_by_seed_and_all_different(dataset: str) -> None:
    settings = PrepareSettings(dataset, size=32, count=60)
    first, second = SyntheticSource(settings), SyntheticSource(settings)
    names = first.list().names
    assert len(names) == 60
    pictures = [first.read(name) for name in names]
    assert [second.read(name) for name in reversed(names)] == pictures[::-1]
    assert len(set(pictures)) == 60
    other = SyntheticSource(PrepareSettings(dataset, size=32, count=60, seed=1))
    assert other.read(names[0]) != pictures[0]
    fewer = SyntheticSource(PrepareSettings(dataset, size=32, count=12))
    assert all(fewer.read(name) == first.read(name) for name in fewer.list().names)


def _mean_ab(planes: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    return np.stack([plane.reshape(len(plane), -1).mean(axis=1) for plane in planes], axis=1) / 255


@pytest.mark.parametrize("dataset", ["synthetic-faces", "synthetic-fruits"])
def test_colour_can_be_learned_from_luminance_alone(dataset: str, tmp_path: Path) -> None:
    """Kernel regression from the L plane alone beats the constant by far on unseen pictures."""
    prepared = prepare(PrepareSettings(dataset, size=16, augment=1), tmp_path).dataset
    train, test = prepared.planes("train"), prepared.planes("test")
    target, truth = _mean_ab((train.a, train.b)), _mean_ab((test.a, test.b))
    x = train.L.reshape(len(train.L), -1) / 255.0
    seen = test.L.reshape(len(test.L), -1) / 255.0
    kernel = np.exp(-np.square(x[:, None] - x[None]).sum(-1) / 12)
    weights = np.linalg.solve(kernel + 0.05 * np.eye(len(x)), target - target.mean(axis=0))
    predicted = np.exp(-np.square(seen[:, None] - x[None]).sum(-1) / 12) @ weights
    error = np.square(predicted + target.mean(axis=0) - truth).mean()
    constant = np.square(target.mean(axis=0) - truth).mean()
    assert error < 0.7 * constant
    assert constant > 1e-5
