"""Cuts and converts the copies of one picture after another in the same memory."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from data_prep.augment import Copy, cut
from data_prep.lab import UInt8Array, rgb_to_lab


class Workbench:
    """The buffers of one thread: memory asked for anew would cost a page fault every 4 KiB.

    Made for pictures of `size` px and up to `factor` copies at once. What is only flipped is cut
    and converted once, and all that is cut in one call.
    """

    def __init__(self, size: int, factor: int) -> None:
        self._rgb = np.empty((factor, size, size, 3), np.uint8)
        self._lab = np.empty_like(self._rgb)
        self._planes = np.empty((3, factor, size, size), np.uint8)
        self._flipped = np.empty_like(self._planes)

    def planes(self, rgb: UInt8Array, copies: Sequence[Copy]) -> list[list[UInt8Array]]:
        """Return rows (size,size) of L, of a and of b, one for each copy; valid until the next."""
        windows = {copy.window: 0 for copy in copies}
        for number, window in enumerate(windows):
            windows[window] = number
            cut(rgb, window, self._rgb[number])
        count = len(windows)
        lab = _as_one_picture(self._lab[:count])
        rgb_to_lab(_as_one_picture(self._rgb[:count]), lab)
        for channel in range(3):
            plane = _as_one_picture(self._planes[channel, :count])
            cv2.extractChannel(lab, channel, dst=plane)
            cv2.flip(plane, 1, dst=_as_one_picture(self._flipped[channel, :count]))
        return [
            [
                (self._flipped if copy.flipped else self._planes)[channel, windows[copy.window]]
                for copy in copies
            ]
            for channel in range(3)
        ]


def _as_one_picture(pictures: UInt8Array) -> UInt8Array:
    """Look at pictures (N,H,W,…) as one that is N times as high, without copying them."""
    return pictures.reshape(-1, *pictures.shape[2:])
