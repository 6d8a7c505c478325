"""Sheets of bare tiles: pictures in rows and columns, to be cut apart and arranged anew."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tuning.display.plots._canvas import write_image

_GUTTER = 4
RGB = NDArray[np.uint8]


def tile_sheet(rows: Sequence[Sequence[RGB]], path: str | Path) -> None:
    """Write RGB tiles, uint8 (H, W, 3), as one PNG: a row of the sheet for each of `rows`.

    Every pixel is kept; white gutters lie between the tiles. ValueError if there is none or their
    shapes differ.
    """
    shapes = {tile.shape for row in rows for tile in row}
    if len(shapes) != 1 or len({len(row) for row in rows}) != 1:
        raise ValueError(f"tiles must fill a grid and be of one shape, but they have {shapes}")
    ((height, width, _),) = shapes
    page = np.full(
        (_extent(len(rows), height), _extent(len(rows[0]), width), 3), 255, dtype=np.uint8
    )
    for row, tiles in enumerate(rows):
        for column, tile in enumerate(tiles):
            top, left = row * (height + _GUTTER), column * (width + _GUTTER)
            page[top : top + height, left : left + width] = tile
    write_image(Image.fromarray(page), path)


def cut_tiles(sheet: bytes, rows: int, columns: int) -> list[list[RGB]]:
    """Cut a sheet of `tile_sheet` apart again; ValueError if it holds no such grid."""
    with Image.open(io.BytesIO(sheet)) as image:
        page = np.asarray(image.convert("RGB"))
    if rows < 1 or columns < 1:
        raise ValueError(f"a sheet has at least one tile, but not {rows} x {columns}")
    height, width = (page.shape[0] + _GUTTER) / rows, (page.shape[1] + _GUTTER) / columns
    if not (height.is_integer() and width.is_integer() and min(height, width) > _GUTTER):
        raise ValueError(f"{page.shape[1]}x{page.shape[0]} px do not hold {rows} x {columns} tiles")
    down, right = int(height), int(width)
    return [
        [
            page[row * down : (row + 1) * down - _GUTTER, left : left + right - _GUTTER]
            for left in range(0, columns * right, right)
        ]
        for row in range(rows)
    ]


def _extent(count: int, size: int) -> int:
    return count * (size + _GUTTER) - _GUTTER
