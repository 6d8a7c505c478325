"""Pictures in rows and columns with captions, drawn with NumPy and OpenCV only."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from data_prep import lab_to_rgb

Bytes = NDArray[np.uint8]

_GAP, _MARGIN = 4, 12
_SMALLEST, _LARGEST = 100, 720
_INK, _MUTED = (28, 39, 51), (95, 108, 123)
_FONT = cv2.FONT_HERSHEY_SIMPLEX
_SMALLEST_TEXT, _LARGEST_TEXT = 15, 26  # height of a line in pixels
# From light (no error) to dark, in colour as in gray: ColorBrewer's YlOrBr.
_ERROR_COLOURS = ("ffffe5", "fff7bc", "fee391", "fec44f", "fe9929", "ec7014", "cc4c02", "662506")


def picture_grid(
    rows: Sequence[Sequence[Bytes]],
    titles: Sequence[str] = (),
    captions: Sequence[str] = (),
    footer: str = "",
    *,
    smallest: int = _SMALLEST,
) -> Bytes:
    """Lay out RGB pictures, uint8 (H, W, 3) of one shape, in rows and columns.

    `titles` stand above the columns, `captions` above the rows, `footer` below all; a text that is
    too wide is cut. With any text, pictures below `smallest` px are enlarged by a whole factor, so
    that every pixel stays a sharp square, and those above 720 px are shrunk. Without text, every
    pixel is kept and there is no margin: `cut_grid` takes such a grid apart again. ValueError if
    the pictures do not fill a grid or differ in shape.
    """
    shapes = {picture.shape for row in rows for picture in row}
    if len(shapes) != 1 or len({len(row) for row in rows}) != 1:
        raise ValueError(f"pictures must fill a grid and be of one shape, but they have {shapes}")
    if not (titles or captions or footer):
        return _page(rows, width=shapes.pop()[1])
    shown = [[_resized(picture, smallest) for picture in row] for row in rows]
    width = shown[0][0].shape[1]
    line = int(np.clip(width // 12, _SMALLEST_TEXT, _LARGEST_TEXT))
    column = max([width, *(_text_width(title, line) for title in titles)])
    page = _page(shown, column, above=line + _GAP if captions else 0)
    if captions:
        step = (page.shape[0] + _GAP) // len(rows)
        for number, caption in enumerate(captions):
            _write(page, caption, 0, number * step, line, _MUTED)
    top, bottom = line + _GAP if titles else 0, line + _GAP if footer else 0
    page = np.pad(page, ((top, bottom), (0, 0), (0, 0)), constant_values=255)
    for number, title in enumerate(titles):
        _write(page, title, number * (column + _GAP), 0, line, _INK)
    _write(page, footer, 0, page.shape[0] - bottom + _GAP, line, _MUTED)
    return np.pad(page, ((_MARGIN,) * 2, (_MARGIN,) * 2, (0, 0)), constant_values=255)


def cut_grid(page: Bytes, rows: int, columns: int) -> list[list[Bytes]]:
    """Cut a grid without text into its pictures; ValueError if `page` holds no such grid."""
    if rows < 1 or columns < 1:
        raise ValueError(f"a grid has at least one picture, not {rows} x {columns}")
    height, width = (page.shape[0] + _GAP) / rows, (page.shape[1] + _GAP) / columns
    if not (height.is_integer() and width.is_integer() and min(height, width) > _GAP):
        size = f"{page.shape[1]}x{page.shape[0]}"
        raise ValueError(f"{size} px do not hold {rows} x {columns} pictures")
    down, right = int(height), int(width)
    return [
        [
            page[top : top + down - _GAP, left : left + right - _GAP]
            for left in range(0, columns * right, right)
        ]
        for top in range(0, rows * down, down)
    ]


def picture_sheet(
    L: Bytes,
    predicted_a: Bytes,
    predicted_b: Bytes,
    a: Bytes,
    b: Bytes,
    path: Path,
    captions: Sequence[str] = (),
) -> None:
    """Write a row per picture: its grayscale, the predicted colours, the true colours.

    All planes are OpenCV 8-bit Lab, uint8 (N, H, W). Colours are stored to one level in 255: the
    lowest bit is noise to the eye but a fifth of the file (six faces of 128 px: 390 KB).
    """
    neutral = np.full_like(L, 128)
    columns = ((neutral, neutral), (predicted_a, predicted_b), (a, b))
    rows = [
        [lab_to_rgb(L[row], *(plane[row] for plane in planes)) for planes in columns]
        for row in range(len(L))
    ]
    page = picture_grid(rows, ("grayscale", "predicted", "true"), captions)
    write_png(((page & 0xFE) | (page >> 7)).astype(np.uint8), path)


def error_map(errors: Mapping[str, NDArray[Any]], path: Path) -> None:
    """Write mean absolute errors (H, W) in Lab units side by side, on one scale from 0."""
    highest = max(float(error.max()) for error in errors.values())
    tiles = [error_picture(error, highest or 1.0) for error in errors.values()]
    titles = [f"{name}: mean error {error.mean():.1f}" for name, error in errors.items()]
    footer = f"in Lab units; light 0, darkest {highest:.1f}"
    write_png(picture_grid([tiles], titles, footer=footer, smallest=360), path)


def error_picture(error: NDArray[Any], scale: float) -> Bytes:
    """Colour one picture's errors (H, W) as RGB: 0 is light, `scale` and above is darkest."""
    colours = np.array([tuple(bytes.fromhex(colour)) for colour in _ERROR_COLOURS], dtype=float)
    place = np.clip(np.asarray(error, dtype=float) / scale, 0, 1) * (len(colours) - 1)
    channels = [np.interp(place, range(len(colours)), colours[:, n]) for n in range(3)]
    return np.stack(channels, axis=-1).round().astype(np.uint8)


def encode_png(picture: Bytes) -> bytes:
    """Encode an RGB picture, photographs to the size of zlib's default in a quarter of the time."""
    strategy = (cv2.IMWRITE_PNG_STRATEGY, cv2.IMWRITE_PNG_STRATEGY_RLE)
    options = [cv2.IMWRITE_PNG_COMPRESSION, 3, *strategy]
    return cv2.imencode(".png", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR), options)[1].tobytes()


def write_png(picture: Bytes, path: Path) -> None:
    """Write an RGB picture, whole or not at all."""
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=".picture-") as scratch:
        draft = Path(scratch) / "picture.png"
        draft.write_bytes(encode_png(picture))
        draft.replace(path)


def jpeg(picture: Bytes) -> bytes:
    """Encode a small RGB picture so that no difference is seen, at a third of a PNG's size."""
    full_colours = [cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444]
    options = [cv2.IMWRITE_JPEG_QUALITY, 92, *full_colours]
    return cv2.imencode(".jpg", picture[..., ::-1], options)[1].tobytes()


def _page(rows: Sequence[Sequence[Bytes]], width: int, above: int = 0) -> Bytes:
    """Place pictures on white, in columns `width` wide, each row with room `above` it."""
    height = rows[0][0].shape[0]
    down, right = above + height + _GAP, width + _GAP
    shape = (len(rows) * down - _GAP, len(rows[0]) * right - _GAP, 3)
    page = np.full(shape, 255, dtype=np.uint8)
    for row, pictures in enumerate(rows):
        for column, picture in enumerate(pictures):
            top, left = row * down + above, column * right
            page[top : top + height, left : left + picture.shape[1]] = picture
    return page


def _resized(picture: Bytes, smallest: int) -> Bytes:
    side = max(picture.shape[:2])
    if side > _LARGEST:
        height, width = (max(1, round(n * _LARGEST / side)) for n in picture.shape[:2])
        shrunk = cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA)
        return np.asarray(shrunk, dtype=np.uint8)
    factor = -(-smallest // side)
    return picture.repeat(factor, axis=0).repeat(factor, axis=1)


def _text_width(text: str, line: int) -> int:
    return int(cv2.getTextSize(text, _FONT, line / 32, 1)[0][0])


def _write(
    page: Bytes, text: str, left: int, top: int, line: int, ink: tuple[int, int, int]
) -> None:
    """Write a line of text, cut where the page is too narrow."""
    room = page.shape[1] - left
    if _text_width(text, line) > room:
        while text and _text_width(f"{text}…", line) > room:
            text = text[:-1]
        text += "…"
    baseline = (left, top + round(0.78 * line))
    cv2.putText(page, text, baseline, _FONT, line / 32, ink, 1, cv2.LINE_AA)
