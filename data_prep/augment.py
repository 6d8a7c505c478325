"""The augmented copies of a training picture, as the paper describes them."""

from __future__ import annotations

import hashlib
import random
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import cv2
import numpy as np

from data_prep.color import UInt8Array, rgb_to_lab

_SMALLEST_CROP = 0.6


class Window(NamedTuple):
    """A square part of a picture: its side, left and top in pixels."""

    side: int
    left: int
    top: int


class Copy(NamedTuple):
    """How a copy is made: the window that is enlarged to full size, if any, then the flip."""

    window: Window | None
    flipped: bool


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


def planned_copies(size: int, factor: int, key: str) -> Iterator[Copy]:
    """Yield how `factor` copies are made: the first of the ten kinds, then random ones.

    Beyond ten, each copy is a new zoom or shift, flipped or not. Draws depend on `key` and the
    copy's number alone, so neither the factor nor the order of work changes a copy.
    """
    for number in range(factor):
        if number < len(_KINDS):
            axes, draw_number, flipped = _KINDS[number]
            window = None if axes is None else _window(_draws(key, draw_number), size, axes)
        else:
            draw = _draws(key, number)
            axes = ("xy", "y", "x")[int(draw.random() * 3)]
            flipped = draw.random() < 0.5
            window = _window(draw, size, axes)
        yield Copy(window, flipped)


def copy_keys(seed: int, digests: Iterable[str]) -> list[str]:
    """Return the key of each picture's draws: its content, and its number among equal ones."""
    seen: Counter[str] = Counter()
    keys = []
    for digest in digests:
        keys.append(f"{seed}:{digest}:{seen[digest]}")
        seen[digest] += 1
    return keys


def _window(draw: random.Random, size: int, axes: str) -> Window:
    """Draw a square crop of random size, at a random place along `axes`, else in the middle."""
    side = round(size * (_SMALLEST_CROP + (1 - _SMALLEST_CROP) * draw.random()))
    room = size - side
    left, top = (int(draw.random() * (room + 1)) if axis in axes else room // 2 for axis in "xy")
    return Window(side, left, top)


def _draws(key: str, number: int) -> random.Random:
    # random.Random.random() is the one stream that Python promises to keep between versions.
    return random.Random(hashlib.sha256(f"{key}:{number}".encode()).digest())


def augmented_copies(rgb: UInt8Array, factor: int, key: str) -> Iterator[UInt8Array]:
    """Yield `factor` pictures (size,size,3) made from one, as planned by `planned_copies`."""
    for window, flipped in planned_copies(rgb.shape[0], factor, key):
        copy = np.empty_like(rgb)
        _cut(rgb, window, copy)
        yield np.ascontiguousarray(copy[:, ::-1]) if flipped else copy


class CopyBuffers:
    """Makes the Lab planes of a picture's copies in memory that is reused for the next picture.

    New memory would cost a page fault for every 4 KiB. For pictures of `size` px and up to `factor`
    copies at once; each window is cut once, and all windows are converted in one call.
    """

    def __init__(self, size: int, factor: int) -> None:
        self._rgb = np.empty((factor, size, size, 3), np.uint8)
        self._lab = np.empty_like(self._rgb)
        self._planes = np.empty((3, factor, size, size), np.uint8)
        self._flipped = np.empty_like(self._planes)

    def planes(self, rgb: UInt8Array, copies: Sequence[Copy]) -> list[list[UInt8Array]]:
        """Return rows (size,size) of L, of a and of b, one per copy; valid until the next call."""
        place = {window: i for i, window in enumerate(dict.fromkeys(c.window for c in copies))}
        for window, i in place.items():
            _cut(rgb, window, self._rgb[i])
        lab = _stacked(self._lab[: len(place)])
        rgb_to_lab(_stacked(self._rgb[: len(place)]), lab)
        for channel in range(3):
            plane = _stacked(self._planes[channel, : len(place)])
            cv2.extractChannel(lab, channel, dst=plane)
            cv2.flip(plane, 1, dst=_stacked(self._flipped[channel, : len(place)]))
        return [
            [
                (self._flipped if c.flipped else self._planes)[channel, place[c.window]]
                for c in copies
            ]
            for channel in range(3)
        ]


def _cut(rgb: UInt8Array, window: Window | None, out: UInt8Array) -> None:
    """Resize a window of a picture (size,size,3) into `out`, an array of that shape."""
    if window is None:
        np.copyto(out, rgb)
        return
    side, left, top = window
    part = rgb[top : top + side, left : left + side]
    cv2.resize(part, out.shape[:2], dst=out, interpolation=cv2.INTER_LINEAR)


def _stacked(pictures: UInt8Array) -> UInt8Array:
    """View pictures (N,H,W,…) as one that is N times as high, without copying them."""
    return pictures.reshape(-1, *pictures.shape[2:])
