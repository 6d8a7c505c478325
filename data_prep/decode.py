"""From the bytes of a picture file to an RGB picture of the wanted size."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable
from typing import TYPE_CHECKING

import cv2
import numpy as np

from data_prep.lab import UInt8Array

if TYPE_CHECKING:
    # Only what reads picture files needs Pillow, not what trains on prepared data.
    from PIL import Image

MAX_PIXELS = 50_000_000
MIN_SIDE = 16

# Pillow also opens formats that start other programs or that no picture file here is in.
_FORMATS = ("JPEG", "PNG", "BMP", "DIB", "GIF", "TIFF", "WEBP", "PPM", "JPEG2000", "AVIF")

# What Pillow's readers raise on damaged files, whatever the format.
_DAMAGED = (
    OSError, SyntaxError, ValueError, EOFError, IndexError, KeyError, TypeError, OverflowError,
    RuntimeError, MemoryError, struct.error, zlib.error,
)  # fmt: skip


class UnusableError(Exception):
    """The picture is left out; the message is the reason, short enough for a list."""


class TooLargeError(UnusableError):
    """The picture has more pixels than are allowed; none of them was decoded."""


def decode_picture(data: bytes, size: int) -> tuple[UInt8Array, str]:
    """Decode to sRGB (size,size,3) uint8; also return the JPEG comment, empty where none.

    CMYK is converted, transparency laid on white, the EXIF orientation applied, then the picture
    is stretched to a square (areas averaged where it shrinks). Raises UnusableError with the
    reason for pictures that hold no colour, are damaged, smaller than 16 px a side or over 50
    megapixels (told from the header, before any pixel is decoded).
    """
    rgb, raw_comment = decode_rgb(data, check_header=_check_trainable)
    if is_grayscale(rgb):
        raise UnusableError("grayscale: red, green and blue are equal everywhere")
    return resize(rgb, size), _comment_text(raw_comment)


def decode_rgb(
    data: bytes,
    *,
    max_pixels: int = MAX_PIXELS,
    check_header: Callable[[Image.Image], None] | None = None,
) -> tuple[UInt8Array, object]:
    """Decode to sRGB (H,W,3) uint8 at the picture's own size; also return the comment it holds.

    Converted as by `decode_picture`; grayscale, of 16 bits too, gives equal channels. Raises
    UnusableError with the reason if the picture is damaged; TooLargeError if it has more than
    `max_pixels`, before any of them is decoded, as is what `check_header` refuses.
    """
    from PIL import Image, ImageOps

    if not data:
        raise UnusableError("empty file")
    try:
        with Image.open(io.BytesIO(data), formats=_FORMATS) as image:
            _check_pixels(image, max_pixels)
            if check_header is not None:
                check_header(image)
            ImageOps.exif_transpose(image, in_place=True)
            return _to_rgb(image), image.info.get("comment", b"")
    except Image.DecompressionBombError:
        raise TooLargeError(f"over {max_pixels / 10**6:g} megapixels") from None
    except _DAMAGED as error:
        raise UnusableError(f"not a readable picture ({_first_line(error)})") from None


def is_grayscale(rgb: UInt8Array) -> bool:
    """Tell whether red, green and blue are equal everywhere."""
    return np.array_equal(rgb[..., 0], rgb[..., 1]) and np.array_equal(rgb[..., 0], rgb[..., 2])


def resize(rgb: UInt8Array, size: int) -> UInt8Array:
    """Stretch an (H,W,3) picture to (size,size,3)."""
    height, width = rgb.shape[:2]
    if (height, width) == (size, size):
        return rgb
    method = cv2.INTER_AREA if max(height, width) > size else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(rgb, (size, size), interpolation=method), dtype=np.uint8)


def _check_pixels(image: Image.Image, max_pixels: int) -> None:
    width, height = image.size
    if width * height > max_pixels:
        raise TooLargeError(f"over {max_pixels / 10**6:g} megapixels ({width}x{height})")


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
        raise UnusableError(f"32 bits a pixel (mode {image.mode}): save it with 8 or 16 bits")
    return np.asarray(image.convert("RGB"))


def _comment_text(comment: object) -> str:
    return comment.decode("latin-1") if isinstance(comment, bytes) else str(comment)


def _first_line(error: BaseException) -> str:
    from PIL import UnidentifiedImageError

    if isinstance(error, UnidentifiedImageError):
        # Its own message holds the address of an object in memory.
        return "not a picture of a known format"
    return (str(error).splitlines() or [type(error).__name__])[0][:120]
