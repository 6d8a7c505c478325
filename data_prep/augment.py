"""The augmented copies of a training picture, as the paper describes them."""

from __future__ import annotations

import hashlib
import random
from collections import Counter
from collections.abc import Iterable, Iterator

import cv2
import numpy as np

from data_prep.color import UInt8Array

_SMALLEST_CROP = 0.6

# The paper's ten kinds in order: axes along which the crop moves (None: no crop), number of its
# draw, flipped. The paper lists the flip three times; the last two are the two before, flipped.
_KINDS: tuple[tuple[str | None, int, bool], ...] = (
    (None, 0, False),
    (None, 0, True),
    (None, 0, True),
    (None, 0, True),
    ("xy", 4, False),
    ("xy", 5, False),
    ("y", 6, False),
    ("x", 7, False),
    ("y", 6, True),
    ("x", 7, True),
)


def augmented_copies(rgb: UInt8Array, factor: int, key: str) -> Iterator[UInt8Array]:
    """Yield `factor` pictures (size,size,3) made from one: the ten kinds, then random ones.

    Beyond ten, each copy is a new zoom or shift, flipped or not. Draws depend on `key` and the
    copy's number alone, so neither the factor nor the order of work changes a copy.
    """
    for number in range(factor):
        if number < len(_KINDS):
            axes, draw_number, flipped = _KINDS[number]
            copy = rgb if axes is None else _crop(rgb, _draws(key, draw_number), axes)
        else:
            draw = _draws(key, number)
            axes = ("xy", "y", "x")[int(draw.random() * 3)]
            flipped = draw.random() < 0.5
            copy = _crop(rgb, draw, axes)
        yield np.ascontiguousarray(copy[:, ::-1]) if flipped else copy


def copy_keys(seed: int, digests: Iterable[str]) -> list[str]:
    """Return the key of each picture's draws: its content, and its number among equal ones."""
    seen: Counter[str] = Counter()
    keys = []
    for digest in digests:
        keys.append(f"{seed}:{digest}:{seen[digest]}")
        seen[digest] += 1
    return keys


def _crop(rgb: UInt8Array, draw: random.Random, axes: str) -> UInt8Array:
    """Enlarge a square of random size, at a random place along `axes`, else in the middle."""
    size = len(rgb)
    side = round(size * (_SMALLEST_CROP + (1 - _SMALLEST_CROP) * draw.random()))
    room = size - side
    left, top = (int(draw.random() * (room + 1)) if axis in axes else room // 2 for axis in "xy")
    part = rgb[top : top + side, left : left + side]
    return np.asarray(cv2.resize(part, (size, size), interpolation=cv2.INTER_LINEAR), np.uint8)


def _draws(key: str, number: int) -> random.Random:
    # random.Random.random() is the one stream that Python promises to keep between versions.
    return random.Random(hashlib.sha256(f"{key}:{number}".encode()).digest())
