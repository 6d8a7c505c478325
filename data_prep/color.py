"""Conversion between RGB and OpenCV's 8-bit Lab."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

UInt8Array = npt.NDArray[np.uint8]


def rgb_to_lab(rgb: UInt8Array) -> UInt8Array:
    """Convert sRGB (H,W,3) uint8 to 8-bit Lab (H,W,3): `L*255/100`, `a+128`, `b+128`."""
    return np.asarray(cv2.cvtColor(rgb, cv2.COLOR_RGB2LAB), dtype=np.uint8)


def is_grayscale(rgb: UInt8Array) -> bool:
    """Whether red, green and blue are equal everywhere."""
    return np.array_equal(rgb[..., 0], rgb[..., 1]) and np.array_equal(rgb[..., 0], rgb[..., 2])


def lab_to_rgb(L: UInt8Array, a: UInt8Array, b: UInt8Array) -> UInt8Array:
    """Convert three 8-bit Lab planes (H,W) to sRGB (H,W,3) uint8, clipped to the gamut."""
    return np.asarray(cv2.cvtColor(cv2.merge((L, a, b)), cv2.COLOR_LAB2RGB), dtype=np.uint8)
