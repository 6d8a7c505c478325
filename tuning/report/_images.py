"""Pictures out of a store, which may be damaged, and how large they are shown."""

from __future__ import annotations

import io

from PIL import Image, UnidentifiedImageError

from tuning.display.plots import PRINT_DPI

_FULL_INCHES = 7.35  # of a heatmap with three panels, which fills the width


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


def drawn_share(png: bytes) -> float:
    """How much of a page's width a drawing needs for its type to be as large as that of others."""
    with Image.open(io.BytesIO(png)) as picture:
        return min(1.0, picture.width / PRINT_DPI / _FULL_INCHES)
