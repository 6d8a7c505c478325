"""Conversion from a picture's embedded ICC profile to sRGB."""

from __future__ import annotations

import io
import struct
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from data_prep.color import is_grayscale

if TYPE_CHECKING:
    from PIL import Image, ImageCms

# The device space of an ICC profile as Pillow's mode.
_MODES = {"RGB": "RGB", "GRAY": "L", "CMYK": "CMYK"}
_STEP = 15
_MAX_BYTES = 10_000_000
# By definition, relative and perceptual intents map a device's white to white.
_DARKEST_WHITE = 240


class ProfileError(Exception):
    """The profile cannot be used; the message says why."""


def embedded_profile(image: Image.Image, data: bytes) -> bytes | None:
    """Return the ICC profile in the file `data`, opened as `image`; None if there is none.

    It is empty if the file holds one that is damaged.
    """
    if image.format == "JPEG2000":
        return _jp2_profile(data)
    if "icc_profile" not in image.info:
        return None
    return image.info["icc_profile"] or b""  # Pillow has None for what it could not unpack


def to_srgb(image: Image.Image, profile: bytes) -> Image.Image:
    """Convert a picture of mode L, RGB or CMYK to sRGB, mode RGB. Raises ProfileError.

    The intent is perceptual, which is relative colorimetric in profiles that have only a matrix.
    Colours outside sRGB are clipped. A profile that is sRGB to the last level changes nothing, and
    gray pictures stay gray.
    """
    from PIL import Image, ImageCms

    mode, transform = _transform(profile)
    if mode != image.mode:
        image = _as_mode(image, mode)
    if transform is None:
        return image.convert("RGB")
    converted = ImageCms.applyTransform(image, transform)
    assert converted is not None  # it is None only where a picture is changed in place
    if mode == "CMYK" or (mode == "RGB" and not is_grayscale(np.asarray(image))):
        return converted
    return Image.merge("RGB", [converted.getchannel("G")] * 3)


def lab_to_srgb(image: Image.Image) -> Image.Image:
    """Convert a picture of mode LAB, whose white is D50, to sRGB, mode RGB."""
    from PIL import ImageCms

    converted = ImageCms.applyTransform(image, _lab_transform())
    assert converted is not None
    return converted


def _as_mode(image: Image.Image, mode: str) -> Image.Image:
    if (image.mode, mode) == ("L", "RGB"):
        return image.convert("RGB")
    if (image.mode, mode) == ("RGB", "L") and is_grayscale(np.asarray(image)):
        return image.getchannel("R")
    raise ProfileError(f"it is for {mode}, the pixels are {image.mode}")


@lru_cache(maxsize=8)
def _transform(data: bytes) -> tuple[str, ImageCms.ImageCmsTransform | None]:
    """Return the mode that a profile is for, and its transform, None if that is the identity."""
    from PIL import Image, ImageCms

    if len(data) > _MAX_BYTES:
        raise ProfileError("it is over 10 MB")
    try:
        profile = ImageCms.ImageCmsProfile(io.BytesIO(data))
        space = profile.profile.xcolor_space.strip()
        if space not in _MODES:
            raise ProfileError(f"it is for {space}")
        mode = _MODES[space]
        # Little CMS would resample tables, which costs levels where an ink begins.
        flags = (
            ImageCms.Flags.NONE if profile.profile.is_matrix_shaper else ImageCms.Flags.NOOPTIMIZE
        )
        srgb = ImageCms.createProfile("sRGB")
        transform = ImageCms.buildTransform(profile, srgb, mode, "RGB", flags=flags)
    except (OSError, ValueError, TypeError, ImageCms.PyCMSError):
        raise ProfileError("it is damaged") from None
    white = Image.new(mode, (1, 1), (0, 0, 0, 0) if mode == "CMYK" else "white")
    if np.asarray(ImageCms.applyTransform(white, transform)).min() < _DARKEST_WHITE:
        raise ProfileError("it does not map white to white")
    if mode == "CMYK":
        return mode, transform
    levels = np.arange(0, 256, _STEP, dtype=np.uint8)
    colours = np.stack(np.meshgrid(levels, levels, levels), -1).reshape(-1, len(levels), 3)
    samples = Image.fromarray(colours if mode == "RGB" else np.arange(256, dtype=np.uint8)[None])
    after = np.asarray(ImageCms.applyTransform(samples, transform), np.int16)
    same = np.abs(after - np.asarray(samples.convert("RGB"))).max() <= 1
    return mode, None if same else transform


@lru_cache(maxsize=1)
def _lab_transform() -> ImageCms.ImageCmsTransform:
    from PIL import ImageCms

    lab, srgb = ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB")
    return ImageCms.buildTransform(lab, srgb, "LAB", "RGB", ImageCms.Intent.RELATIVE_COLORIMETRIC)


def _jp2_profile(data: bytes) -> bytes | None:
    """Return the profile in the colour box of a JPEG 2000 file, which Pillow does not read."""
    header = _box(data, b"jp2h")
    colour = _box(header, b"colr") if header else None
    return colour[3:] if colour and colour[0] in (2, 3) else None


def _box(data: bytes, kind: bytes) -> bytes | None:
    """Return the content of the first box of this kind."""
    at = 0
    while len(data) - at >= 8:
        length, name = struct.unpack_from(">I4s", data, at)
        start = 8
        if length == 1 and len(data) - at >= 16:
            start, length = 16, struct.unpack_from(">Q", data, at + 8)[0]
        end = at + length if length else len(data)
        if name == kind:
            return data[at + start : end]
        if length and length < start:
            return None
        at = end
    return None
