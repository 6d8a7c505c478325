"""A picture before and after, side by side."""

from __future__ import annotations

from collections.abc import Mapping

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

Bytes = npt.NDArray[np.uint8]

_INK, _MUTED = "#1c2733", "#5f6c7b"
_MARGIN, _GAP, _LINE, _FONT = 12, 8, 22, 14
# A sheet is for looking at; every pixel is in the picture itself.
_LARGEST, _SMALLEST = 720, 160


def side_by_side(pictures: Mapping[str, Bytes], caption: str) -> Bytes:
    """Lay out titled RGB pictures, uint8 (H, W, 3) of one shape, in a row above a caption.

    Large ones are shrunk to 720 px a side; small ones are enlarged by a whole factor, so that
    every pixel stays a sharp square.
    """
    shown = {title: _sized(picture) for title, picture in pictures.items()}
    height, width = next(iter(shown.values())).shape[:2]
    column = max(width, 110)  # room for the longest title
    page = Image.new(
        "RGB",
        (
            2 * _MARGIN + len(shown) * (column + _GAP) - _GAP,
            2 * _MARGIN + 2 * _LINE + height,
        ),
        "white",
    )
    draw = ImageDraw.Draw(page)
    font = ImageFont.load_default(_FONT)
    for number, (title, picture) in enumerate(shown.items()):
        left = _MARGIN + number * (column + _GAP)
        draw.text((left, _MARGIN), title, fill=_INK, font=font)
        page.paste(Image.fromarray(picture), (left, _MARGIN + _LINE))
    below = (_MARGIN, page.height - _MARGIN - _LINE + 6)
    draw.text(below, _shortened(caption, font, page.width), fill=_MUTED, font=font)
    return np.asarray(page)


def _sized(picture: Bytes) -> Bytes:
    side = max(picture.shape[:2])
    if side > _LARGEST:
        height, width = (max(1, round(n * _LARGEST / side)) for n in picture.shape[:2])
        shrunk = cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA)
        return np.asarray(shrunk, dtype=np.uint8)
    factor = -(-_SMALLEST // side)
    return picture.repeat(factor, axis=0).repeat(factor, axis=1)


def _shortened(text: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, width: int) -> str:
    """Cut what the page is too narrow for."""
    room = width - 2 * _MARGIN
    if font.getlength(text) <= room:
        return text
    while text and font.getlength(f"{text}…") > room:
        text = text[:-1]
    return f"{text}…"
