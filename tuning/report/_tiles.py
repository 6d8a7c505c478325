"""Rows of small pictures as one picture with captions, where a page cannot arrange them itself."""

from __future__ import annotations

import io
from collections.abc import Sequence

import numpy as np
from PIL import Image

from tuning.display.pictures import jpeg, picture_grid
from tuning.report._document import TileRow


def tile_sheet(columns: Sequence[str], rows: Sequence[TileRow]) -> bytes:
    """Draw rows of tiles under common titles, each with its caption above, as a JPEG."""
    pictures = []
    for row in rows:
        tiles = [Image.open(io.BytesIO(tile)).convert("RGB") for tile in row.tiles]
        pictures.append([np.asarray(tile) for tile in tiles])
    return jpeg(picture_grid(pictures, columns, [row.caption for row in rows]))
