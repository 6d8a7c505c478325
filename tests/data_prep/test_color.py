"""The 8-bit Lab planes, against scikit-image's own conversion."""

from __future__ import annotations

import numpy as np
from skimage import color

from data_prep.color import rgb_to_lab


def test_agrees_with_scikit_image_within_quantization() -> None:
    rgb = np.random.RandomState(0).randint(0, 256, (256, 256, 3)).astype(np.uint8)
    exact = color.rgb2lab(rgb)
    expected = np.stack([exact[..., 0] * 255 / 100, exact[..., 1] + 128, exact[..., 2] + 128], -1)
    error = np.abs(rgb_to_lab(rgb).astype(float) - expected)
    # OpenCV's 8-bit tables are off by up to half a unit of L (1.28 of 255) and 2.4 of a and b.
    assert (error.max(axis=(0, 1)) <= [1.3, 2.5, 1.5]).all()
    assert (error.mean(axis=(0, 1)) <= 0.4).all()


def test_gray_has_no_colour_and_the_primaries_lie_on_their_sides() -> None:
    gray = np.repeat(np.arange(256, dtype=np.uint8)[:, None, None], 3, axis=2)
    assert np.abs(rgb_to_lab(gray)[..., 1:].astype(int) - 128).max() <= 1
    red, green, blue, yellow = rgb_to_lab(
        np.array([[[255, 0, 0], [0, 255, 0], [0, 0, 255], [255, 255, 0]]], np.uint8)
    )[0]
    assert red[1] > 180
    assert green[1] < 60
    assert blue[2] < 40
    assert yellow[2] > 200
