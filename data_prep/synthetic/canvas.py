"""Drawing by formulas: soft-edged shapes, shading, and colours that follow from luminance."""

from __future__ import annotations

import hashlib
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from data_prep.color import UInt8Array

FloatArray = npt.NDArray[np.floating[Any]]


def random_state(*key: object) -> np.random.RandomState:
    """Return a generator seeded by `key`; NumPy keeps this older kind's stream for ever."""
    digest = hashlib.sha256(repr(key).encode()).digest()
    return np.random.RandomState(np.frombuffer(digest, dtype=np.uint32))


def ramp(text: str) -> FloatArray:
    """Read a colour ramp such as `0.0 160a08, 1.0 ffeee0`: luminance in [0,1], colour in hex.

    Returns rows of luminance, red, green and blue.
    """
    stops = [stop.split() for stop in text.split(",")]
    rows = [(float(luminance), *bytes.fromhex(colour)) for luminance, colour in stops]
    return np.asarray(rows, dtype=np.float32)


def mix(low: float, high: float, part: float) -> float:
    return low + (high - low) * part


class Canvas:
    """An RGB picture being painted, with x and y from -1 (left, top) to 1 (right, bottom)."""

    def __init__(self, size: int) -> None:
        self.size = size
        axis = (np.arange(size, dtype=np.float32) + 0.5) * (2 / size) - 1
        self.x, self.y = np.meshgrid(axis, axis)
        self.rgb: FloatArray = np.zeros((size, size, 3), dtype=np.float32)

    def cover(self, distance: FloatArray, softness: float = 0.0) -> FloatArray:
        """Return how much of each pixel lies inside, where `distance` is negative inside."""
        width = 2 / self.size + softness
        covered: FloatArray = np.clip(0.5 - distance / width, 0, 1).astype(np.float32)
        return covered

    def paint(self, mask: FloatArray, colour: FloatArray) -> None:
        """Lay `colour` ((H,W,3) or (3,)) over the picture where `mask` is 1."""
        self.rgb += mask[..., None] * (colour - self.rgb)

    def ramp(self, mask: FloatArray, luminance: FloatArray | float, ramp: FloatArray) -> None:
        """Paint the colour that `ramp` gives each luminance in [0,1]."""
        light = np.broadcast_to(np.asarray(luminance, dtype=np.float32), mask.shape)
        channels = [np.interp(light, ramp[:, 0], ramp[:, channel]) for channel in (1, 2, 3)]
        self.paint(mask, np.stack(channels, axis=-1).astype(np.float32))

    def darken(self, mask: FloatArray, amount: float) -> None:
        self.rgb *= 1 - amount * mask[..., None]

    def local(self, cx: float, cy: float, scale: float, angle: float) -> tuple[FloatArray, ...]:
        """Return coordinates of a shape centred at (cx, cy), scaled and turned by `angle`."""
        dx, dy = (self.x - cx) / scale, (self.y - cy) / scale
        cos, sin = np.float32(np.cos(angle)), np.float32(np.sin(angle))
        return dx * cos + dy * sin, dy * cos - dx * sin

    def noise(self, random: np.random.RandomState, cells: int) -> FloatArray:
        """Return smooth noise in about [-1,1], `cells` bumps a side."""
        grid = random.uniform(-1, 1, (cells, cells)).astype(np.float32)
        shape = (self.size, self.size)
        grown: FloatArray = np.asarray(cv2.resize(grid, shape, interpolation=cv2.INTER_CUBIC))
        return grown

    def finish(self, random: np.random.RandomState, grain: float) -> UInt8Array:
        """Add luminance grain (in grey levels) and return the picture as uint8."""
        speckle = random.uniform(-grain, grain, (self.size, self.size, 1)).astype(np.float32)
        picture: UInt8Array = np.clip(self.rgb + speckle + 0.5, 0, 255).astype(np.uint8)
        return picture


def ellipse(x: FloatArray, y: FloatArray, w: float, h: float) -> FloatArray:
    """Return about the signed distance to an ellipse of half axes w and h."""
    distance: FloatArray = (np.hypot(x / w, y / h) - 1) * min(w, h)
    return distance


def stroke(
    x: FloatArray, y: FloatArray, start: tuple[float, float], end: tuple[float, float], half: float
) -> FloatArray:
    """Return the signed distance to a straight line with round ends, `half` wide to each side."""
    dx, dy = end[0] - start[0], end[1] - start[1]
    length = max(dx * dx + dy * dy, 1e-9)
    along = np.clip(((x - start[0]) * dx + (y - start[1]) * dy) / length, 0, 1)
    distance: FloatArray = np.hypot(x - start[0] - along * dx, y - start[1] - along * dy) - half
    return distance


def lit(
    nx: FloatArray, ny: FloatArray, light: tuple[float, float], ambient: float, shine: float
) -> FloatArray:
    """Return the luminance of a bulging surface whose normal leans by (nx, ny), lit from `light`.

    `light` leans in the same coordinates; `shine` is the strength of the highlight.
    """
    nz = np.sqrt(np.clip(1 - nx * nx - ny * ny, 0, 1))
    lz = float(np.sqrt(max(0.0, 1 - light[0] ** 2 - light[1] ** 2)))
    facing = np.clip(nx * light[0] + ny * light[1] + nz * lz, 0, 1)
    luminance: FloatArray = ambient + (1 - ambient) * facing * 0.75 + shine * facing**24
    return luminance
