"""Decoding of picture files to RGB of the wanted size."""

from __future__ import annotations

import io
import struct
import zlib
from typing import TYPE_CHECKING

import cv2
import numpy as np

from data_prep.color import UInt8Array

if TYPE_CHECKING:
    # Reading picture files needs Pillow; training on prepared data does not.
    from PIL import Image

MAX_PIXELS = 50_000_000
MIN_SIDE = 16

# Pillow also opens formats that start other programs.
_FORMATS = ("JPEG", "PNG", "BMP", "DIB", "GIF", "TIFF", "WEBP", "PPM", "JPEG2000", "AVIF")

# What Pillow's readers raise on damaged files.
_DAMAGED = (
    OSError, SyntaxError, ValueError, EOFError, IndexError, KeyError, TypeError, OverflowError,
    RuntimeError, MemoryError, struct.error, zlib.error,
)  # fmt: skip


class UnusableError(Exception):
    """The picture is skipped; the message is the reason, short enough for a list."""


class TooLargeError(UnusableError):
    """The picture has too many pixels; none of them was decoded."""


def decode_picture(data: bytes, size: int) -> tuple[UInt8Array, str]:
    """Decode to sRGB (size,size,3) uint8; also return the JPEG comment, empty where none.

    CMYK is converted, transparency composited on white, the EXIF orientation applied, then the
    picture is stretched to a square (areas averaged if it shrinks). Raises UnusableError for
    pictures that are grayscale, damaged, smaller than 16 px a side, or over 50 megapixels (by the
    header, before any pixel is decoded).
    """
    rgb, raw_comment = decode_rgb(data, trainable=True)
    if is_grayscale(rgb):
        raise UnusableError("grayscale: red, green and blue are equal everywhere")
    comment = raw_comment.decode("latin-1") if isinstance(raw_comment, bytes) else str(raw_comment)
    return resize(rgb, size), comment


def decode_rgb(
    data: bytes,
    *,
    max_pixels: int = MAX_PIXELS,
    trainable: bool = False,
) -> tuple[UInt8Array, object]:
    """Decode to sRGB (H,W,3) uint8 at the picture's own size; also return its comment.

    Converted as by `decode_picture`; grayscale, also of 16 bits, gives equal channels. Raises
    UnusableError if the image is damaged, or, with `trainable`, too small or grayscale by its
    header, and TooLargeError if it has more than `max_pixels`, before any pixel is decoded.
    """
    from PIL import Image, ImageOps, UnidentifiedImageError

    if not data:
        raise UnusableError("empty file")
    try:
        with Image.open(io.BytesIO(data), formats=_FORMATS) as image:
            width, height = image.size
            if width * height > max_pixels:
                raise TooLargeError(f"over {max_pixels / 10**6:g} megapixels ({width}x{height})")
            if trainable:
                _check_trainable(image)
            ImageOps.exif_transpose(image, in_place=True)
            return _to_rgb(image), image.info.get("comment", b"")
    except Image.DecompressionBombError:
        raise TooLargeError(f"over {max_pixels / 10**6:g} megapixels") from None
    except UnidentifiedImageError:
        raise UnusableError("not a readable image (unknown format)") from None
    except _DAMAGED as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0][:120]
        raise UnusableError(f"not a readable image ({reason})") from None


def is_grayscale(rgb: UInt8Array) -> bool:
    """Whether red, green and blue are equal everywhere."""
    return np.array_equal(rgb[..., 0], rgb[..., 1]) and np.array_equal(rgb[..., 0], rgb[..., 2])


def resize(rgb: UInt8Array, size: int) -> UInt8Array:
    """Stretch an (H,W,3) picture to (size,size,3)."""
    height, width = rgb.shape[:2]
    if (height, width) == (size, size):
        return rgb
    method = cv2.INTER_AREA if max(height, width) > size else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(rgb, (size, size), interpolation=method), dtype=np.uint8)


def _check_trainable(image: Image.Image) -> None:
    width, height = image.size
    if min(width, height) < MIN_SIDE:
        raise UnusableError(f"smaller than {MIN_SIDE} px a side ({width}x{height})")
    if image.mode in ("1", "L", "LA", "La", "I", "F") or image.mode.startswith("I;"):
        raise UnusableError(f"grayscale (mode {image.mode})")


def _to_rgb(image: Image.Image) -> UInt8Array:
    from PIL import Image

    if image.has_transparency_data or image.mode == "RGBa":
        pixels = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", pixels.size, "white"), pixels)
    if image.mode.startswith("I;16"):
        # Pillow would cut off what is above 255.
        image = Image.fromarray(np.rint(np.asarray(image) / 257).astype(np.uint8))
    if image.mode in ("I", "F"):
        raise UnusableError(f"32 bits per pixel (mode {image.mode}): save it with 8 or 16 bits")
    return np.asarray(image.convert("RGB"))
