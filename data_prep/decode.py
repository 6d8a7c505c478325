"""Decoding of picture files to RGB of the wanted size."""

from __future__ import annotations

import io
import struct
import zlib
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import numpy.typing as npt

from data_prep.color import UInt8Array, is_grayscale
from data_prep.color_profile import ProfileError, embedded_profile, lab_to_srgb, to_srgb
from data_prep.image_formats import is_heif, is_tiff, readable_formats

if TYPE_CHECKING:
    # Reading picture files needs Pillow; training on prepared data does not.
    from PIL import Image, ImageFile

MAX_PIXELS = 50_000_000
MIN_SIDE = 16

NO_HEIF = "HEIF needs `pip install 'chromatune[heic]'`, or save it as JPEG"
FIRST_FRAME = "several frames, the first is read"
BAD_PROFILE = "unusable color profile, sRGB assumed"

# PNG's transparent value is a raw sample; Pillow widens samples of less than 8 bits.
_WIDENED = {"1": 255, "L;2": 85, "L;4": 17}
_PHOTOMETRIC, _BITS = 262, 258  # tags of TIFF
_WHITE_IS_ZERO = 0

# What Pillow's readers raise on damaged files.
_DAMAGED = (
    OSError, SyntaxError, ValueError, EOFError, IndexError, KeyError, TypeError, OverflowError,
    RuntimeError, MemoryError, struct.error, zlib.error,
)  # fmt: skip


class UnusableError(Exception):
    """The picture is skipped; the message is the reason, short enough for a list."""


class TooLargeError(UnusableError):
    """The picture has too many pixels; none of them was decoded."""


@dataclass(frozen=True)
class Decoded:
    """A picture as sRGB (H,W,3) uint8, its comment, and what was assumed in reading it."""

    rgb: UInt8Array
    comment: str
    notes: tuple[str, ...]


def decode_picture(data: bytes, size: int) -> Decoded:
    """Decode to sRGB (size,size,3) as `decode_rgb` does, stretched (areas averaged if it shrinks).

    Raises UnusableError also for pictures that are grayscale, or smaller than 16 px a side.
    """
    picture = decode_rgb(data, trainable=True)
    if is_grayscale(picture.rgb):
        raise UnusableError("grayscale: red, green and blue are equal everywhere")
    return Decoded(resize(picture.rgb, size), picture.comment, picture.notes)


def decode_rgb(data: bytes, *, max_pixels: int = MAX_PIXELS, trainable: bool = False) -> Decoded:
    """Decode to sRGB (H,W,3) uint8 at the picture's own size.

    Embedded ICC profiles are converted to sRGB, the EXIF orientation is applied, transparency is
    composited on white; grayscale gives equal channels. docs/images.md has the rules. Raises
    UnusableError if the image is damaged, or, with `trainable`, too small or grayscale by its
    header, and TooLargeError if it has more than `max_pixels`, before any pixel is decoded.
    """
    from PIL import Image, ImageOps, UnidentifiedImageError

    if not data:
        raise UnusableError("empty file")
    try:
        with Image.open(io.BytesIO(data), formats=readable_formats(data)) as image:
            width, height = image.size
            if width * height > max_pixels:
                raise TooLargeError(f"over {max_pixels / 10**6:g} megapixels ({width}x{height})")
            if trainable:
                _check_trainable(image)
            _mend_transparent_value(image)
            ImageOps.exif_transpose(image, in_place=True)
            rgb, problem = _to_rgb(image, embedded_profile(image, data))
            notes = [f"{BAD_PROFILE} ({problem})"] if problem else []
            notes += [FIRST_FRAME] if _has_more_frames(image) else []
            return Decoded(rgb, _comment(image), tuple(notes))
    except Image.DecompressionBombError:
        raise TooLargeError(f"over {max_pixels / 10**6:g} megapixels") from None
    except UnidentifiedImageError:
        raise UnusableError(_why_unknown(data)) from None
    except _DAMAGED as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0][:120]
        raise UnusableError(f"not a readable image ({reason})") from None


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


def _why_unknown(data: bytes) -> str:
    kind = "unknown format"
    if is_heif(data):
        if "HEIF" not in readable_formats(data):
            return NO_HEIF
        kind = "a damaged HEIF"
    elif is_tiff(data):
        kind = "a damaged TIFF, or one of unusual samples"
    return f"not a readable image ({kind})"


def _comment(image: Image.Image) -> str:
    comment = image.info.get("comment", b"")
    return comment.decode("latin-1") if isinstance(comment, bytes) else str(comment)


def _has_more_frames(image: Image.Image) -> bool:
    if image.format == "MPO":  # the others are its previews or its other eye
        return False
    with suppress(*_DAMAGED):  # GIF looks for the second frame, which may be damaged
        return bool(getattr(image, "is_animated", False))
    return False


def _mend_transparent_value(image: ImageFile.ImageFile) -> None:
    """Make a PNG's transparent value one of the values that Pillow gives its pixels."""
    value = image.info.get("transparency")
    raw = str(image.tile[0].args) if image.format == "PNG" and image.tile else ""
    if raw in _WIDENED and isinstance(value, int):
        image.info["transparency"] = value * _WIDENED[raw]
    elif raw == "RGB;16B" and isinstance(value, tuple):
        image.info["transparency"] = tuple(channel >> 8 for channel in value)


def _to_rgb(image: Image.Image, profile: bytes | None) -> tuple[UInt8Array, str]:
    """Convert to sRGB; also return why the profile was not used, empty if it was."""
    from PIL import Image

    pixels, alpha = _without_alpha(image)
    problem = ""
    if pixels.mode == "LAB":
        pixels = lab_to_srgb(pixels)
    elif profile is not None:
        try:
            pixels = to_srgb(pixels, profile)
        except ProfileError as error:
            problem = str(error)
    pixels = pixels.convert("RGB")
    if alpha is not None:
        pixels.putalpha(alpha)
        white = Image.new("RGBA", pixels.size, "white")
        pixels = Image.alpha_composite(white, pixels).convert("RGB")
    return np.asarray(pixels), problem


def _without_alpha(image: Image.Image) -> tuple[Image.Image, Image.Image | None]:
    """Return the picture in mode L, RGB, CMYK or LAB, and its opacity if it has any."""
    from PIL import Image

    if image.mode in ("I", "F") or image.mode.startswith("I;16"):
        values = np.asarray(image)
        clear = image.info.get("transparency")
        opaque = None if clear is None else Image.fromarray(np.uint8(255) * (values != clear))
        return Image.fromarray(_eight_bits(image, values)), opaque
    if image.has_transparency_data or image.mode in ("La", "RGBa"):
        # Pillow converts premultiplied gray only to its other form.
        pixels = (image.convert("LA") if image.mode == "La" else image).convert("RGBA")
        return pixels.convert("RGB"), pixels.getchannel("A")
    if image.mode in ("L", "RGB", "CMYK", "LAB"):
        return image, None
    return image.convert("L" if image.mode == "1" else "RGB"), None


def _eight_bits(image: Image.Image, values: npt.NDArray[Any]) -> UInt8Array:
    """Scale grayscale of more than 8 bits; Pillow would cut off what is above 255."""
    tags = getattr(image, "tag_v2", {})
    if image.mode == "F":
        top = _float_top(values)
    elif image.mode != "I":
        top = 2 ** tags.get(_BITS, (16,))[0] - 1
    elif image.format == "PPM":  # Pillow has scaled them
        top = 65535
    else:
        raise UnusableError("32-bit or signed integers, of no known range: save with 8 or 16 bits")
    gray = np.rint(values * (255 / top)).astype(np.uint8)
    return 255 - gray if tags.get(_PHOTOMETRIC) == _WHITE_IS_ZERO else gray


def _float_top(values: npt.NDArray[Any]) -> int:
    """Return which value is white: the least of 1, 255 and 65535 that none exceeds."""
    if not np.isfinite(values).all() or values.min() < 0 or values.max() > 65535:
        raise UnusableError("floating-point values outside 0 to 65535: save with 8 or 16 bits")
    return next(top for top in (1, 255, 65535) if values.max() <= top)
