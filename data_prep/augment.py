"""The copies of a training picture, as the report describes them."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable, Iterator
from typing import NamedTuple

import cv2
import numpy as np

from data_prep.lab import UInt8Array

SMALLEST_CROP = 0.6


class Window(NamedTuple):
    """A square part of a picture: its side, left and top in pixels."""

    side: int
    left: int
    top: int


class Copy(NamedTuple):
    """How a copy is made: the window that is stretched to the whole, if any, then the flip."""

    window: Window | None
    flipped: bool


Crop = Callable[[random.Random, int], Window]


def _zoom(draw: random.Random, size: int) -> Window:
    """Draw a square crop at any place."""
    side = _crop_side(draw, size)
    return Window(side, _offset(draw, size - side), _offset(draw, size - side))


def _vertical_shift(draw: random.Random, size: int) -> Window:
    """Draw a square crop shifted up or down only."""
    side = _crop_side(draw, size)
    return Window(side, (size - side) // 2, _offset(draw, size - side))


def _horizontal_shift(draw: random.Random, size: int) -> Window:
    """Draw a square crop shifted left or right only."""
    side = _crop_side(draw, size)
    return Window(side, _offset(draw, size - side), (size - side) // 2)


# The ten kinds in order: crop, its draw (equal numbers share one), flipped. The flip stands there
# three times, and the last two are the two before them, flipped.
_KINDS: tuple[tuple[Crop | None, int, bool], ...] = (
    (None, 0, False),
    (None, 0, True),
    (None, 0, True),
    (None, 0, True),
    (_zoom, 4, False),
    (_zoom, 5, False),
    (_vertical_shift, 6, False),
    (_horizontal_shift, 7, False),
    (_vertical_shift, 6, True),
    (_horizontal_shift, 7, True),
)


def augmented_copies(rgb: UInt8Array, factor: int, key: str) -> Iterator[UInt8Array]:
    """Yield `factor` pictures (size,size,3) made of one, as `planned_copies` says."""
    for window, flipped in planned_copies(rgb.shape[0], factor, key):
        copy = np.empty_like(rgb)
        cut(rgb, window, copy)
        yield np.ascontiguousarray(copy[:, ::-1]) if flipped else copy


def planned_copies(size: int, factor: int, key: str) -> Iterator[Copy]:
    """Yield how `factor` copies are made: the first of the ten kinds, then others.

    Beyond ten, each copy is a fresh zoom or shift, flipped or not. Draws depend on `key` and the
    copy's number alone, so neither the factor nor the order of work changes a copy.
    """
    windows: dict[int, Window] = {}
    for number in range(factor):
        if number < len(_KINDS):
            crop, draw_number, flipped = _KINDS[number]
            if crop is not None and draw_number not in windows:
                windows[draw_number] = crop(_draws(key, draw_number), size)
            yield Copy(windows.get(draw_number), flipped)
        else:
            draw = _draws(key, number)
            crop = (_zoom, _vertical_shift, _horizontal_shift)[int(draw.random() * 3)]
            flipped = draw.random() < 0.5
            yield Copy(crop(draw, size), flipped)


def cut(rgb: UInt8Array, window: Window | None, out: UInt8Array) -> None:
    """Stretch a window of a picture (size,size,3) to the whole of `out`, an array of that shape.

    Without a window the picture is copied.
    """
    if window is None:
        np.copyto(out, rgb)
        return
    side, left, top = window
    part = rgb[top : top + side, left : left + side]
    cv2.resize(part, out.shape[:2], dst=out, interpolation=cv2.INTER_LINEAR)


def _draws(key: str, number: int) -> random.Random:
    # random.Random.random() is the one stream that Python promises to keep between versions.
    return random.Random(hashlib.sha256(f"{key}:{number}".encode()).digest())


def _crop_side(draw: random.Random, size: int) -> int:
    return round(size * (SMALLEST_CROP + (1 - SMALLEST_CROP) * draw.random()))


def _offset(draw: random.Random, room: int) -> int:
    return int(draw.random() * (room + 1))
