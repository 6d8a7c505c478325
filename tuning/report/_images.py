"""Pictures out of a store, which may be damaged."""

from __future__ import annotations

import io

from PIL import Image, UnidentifiedImageError


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
