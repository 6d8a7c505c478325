"""What is stored of a picture's copies are the copies, converted."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
import pytest

from data_prep.augment import CopyBuffers, augmented_copies, planned_copies


@pytest.fixture
def picture() -> Callable[[int], np.ndarray]:
    return lambda seed: np.random.default_rng(seed).integers(0, 256, (48, 48, 3), np.uint8)


@pytest.mark.parametrize("factor", [1, 6, 10, 25])
def test_planes_are_those_of_every_copy(factor: int, picture: Callable[[int], np.ndarray]) -> None:
    buffers = CopyBuffers(48, 25)
    for seed in range(3):  # one after another, in the same memory
        rgb = picture(seed)
        planes = buffers.planes(rgb, list(planned_copies(48, factor, f"key{seed}")))
        copies = augmented_copies(rgb, factor, f"key{seed}")
        expected = np.stack([cv2.cvtColor(copy, cv2.COLOR_RGB2LAB) for copy in copies])
        assert np.array_equal(np.stack([np.stack(rows) for rows in planes], axis=-1), expected)
