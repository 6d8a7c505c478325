"""Sheets of colorized pictures beside the truth."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from data_prep.lab import lab_to_rgb
from tuning.display.plots._canvas import DPI, DRAWING, INK, MUTED, new_figure, write_png

# Page geometry in pixels of the file.
_MARGIN, _GAP, _HEADING, _CAPTION = 12, 6, 24, 18
_SMALLEST = 100


def picture_sheet(
    L: NDArray[np.uint8],
    predicted_a: NDArray[np.uint8],
    predicted_b: NDArray[np.uint8],
    a: NDArray[np.uint8],
    b: NDArray[np.uint8],
    path: str | Path,
    titles: Sequence[str] | None = None,
) -> None:
    """Draw one row per picture: its grayscale, the predicted colours, the true colours.

    All planes are OpenCV 8-bit Lab, uint8 (N, H, W). `titles`, if given, holds N captions, one
    above each row. Every pixel is a sharp square: pictures under 100 px are enlarged by a whole
    factor. Colours are stored to one level in 255, which saves a fifth of the file (six faces of
    128 px: 390 KB). ValueError if the planes or the titles do not fit together.
    """
    planes = {"L": L, "predicted_a": predicted_a, "predicted_b": predicted_b, "a": a, "b": b}
    for name, plane in planes.items():
        if plane.dtype != np.uint8 or plane.ndim != 3 or plane.shape != L.shape or not plane.size:
            raise ValueError(
                f"planes must all be uint8 (N, H, W), not empty and shaped like L {L.shape}, "
                f"but {name} is {plane.dtype} {plane.shape}"
            )
    if titles is not None and len(titles) != len(L):
        raise ValueError(f"{len(titles)} titles for {len(L)} pictures")
    neutral = np.full_like(L, 128)
    columns = {
        "grayscale": _to_rgb(L, neutral, neutral),
        "predicted": _to_rgb(L, predicted_a, predicted_b),
        "true": _to_rgb(L, a, b),
    }
    scale = math.ceil(_SMALLEST / max(L.shape[1:]))
    height, width = L.shape[1] * scale, L.shape[2] * scale
    caption = 0 if titles is None else _CAPTION
    row_height = caption + height + _GAP
    page_width = 2 * _MARGIN + 3 * width + 2 * _GAP
    page_height = 2 * _MARGIN + _HEADING + len(L) * row_height - _GAP
    with DRAWING:
        figure = new_figure(page_width / DPI, page_height / DPI, layout=None)

        def write(x: float, y: float, text: str, **style: object) -> None:
            figure.text(x / page_width, 1 - y / page_height, text, parse_math=False, **style)

        for column, (name, pictures) in enumerate(columns.items()):
            x = _MARGIN + column * (width + _GAP)
            style = {"ha": "center", "va": "center", "fontsize": 9, "fontweight": "bold"}
            write(x + width / 2, _MARGIN + _HEADING / 2 - 4, name, color=INK, **style)
            for row, picture in enumerate(pictures):
                bottom = _MARGIN + _HEADING + (row + 1) * row_height - _GAP
                enlarged = picture.repeat(scale, axis=0).repeat(scale, axis=1)
                figure.figimage(enlarged, xo=x, yo=page_height - bottom, origin="upper")
        for row, title in enumerate(titles or ()):
            baseline = _MARGIN + _HEADING + row * row_height + caption - 5
            write(_MARGIN, baseline, title, color=MUTED, va="baseline", fontsize=7.5)
        write_png(figure, path)


def _to_rgb(
    L: NDArray[np.uint8], a: NDArray[np.uint8], b: NDArray[np.uint8]
) -> list[NDArray[np.uint8]]:
    """Convert (N, H, W) planes to N RGB pictures, each value's lowest bit set to its highest.

    The lowest bit is noise to the eye but a fifth of the PNG; black and white stay exact.
    """
    rgb = np.stack([lab_to_rgb(*planes) for planes in zip(L, a, b, strict=True)])
    return list((rgb & 0xFE) | (rgb >> 7))
