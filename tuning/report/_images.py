"""Pictures of a report: read from a store, which may be damaged, and arranged for a page."""

from __future__ import annotations

import io
from collections.abc import Sequence

import numpy as np
from PIL import Image, UnidentifiedImageError

from tuning.display.pictures import jpeg, picture_grid
from tuning.report._document import TileRow


def whole_picture(content: bytes | None) -> bytes | None:
    """Return the content of a picture file if it can be drawn, else None."""
    if content is None:
        return None
    try:
        with Image.open(io.BytesIO(content)) as image:
            image.load()
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError):
        return None
    return content


def tile_sheet(columns: Sequence[str], rows: Sequence[TileRow]) -> bytes:
    """Draw rows of tiles under common titles, each with its caption above, as a JPEG."""
    pictures = []
    for row in rows:
        tiles = [Image.open(io.BytesIO(tile)).convert("RGB") for tile in row.tiles]
        pictures.append([np.asarray(tile) for tile in tiles])
    return jpeg(picture_grid(pictures, columns, [row.caption for row in rows]))
