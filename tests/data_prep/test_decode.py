"""Strange pictures: converted rightly, or left out with a reason."""

from __future__ import annotations

import struct
import warnings
import zlib

import numpy as np
import pytest
from PIL import Image

from data_prep.color import is_grayscale
from data_prep.decode import UnusableError, decode_picture, decode_rgb
from tests.data_prep.builders import colourful, saved


def _colour(width: int = 32, height: int = 32) -> Image.Image:
    return colourful(0, width, height, cells=3)


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def _png(width: int, height: int, depth: int, colour: int, rows: bytes) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    start = b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", header)
    return start + _chunk(b"IDAT", zlib.compress(rows)) + _chunk(b"IEND", b"")


def test_a_picture_of_the_right_size_is_unchanged_and_a_larger_one_is_averaged() -> None:
    picture = decode_picture(saved(_colour(), "PNG"), 32)
    assert np.array_equal(picture.rgb, np.asarray(_colour()))
    assert picture.comment == ""
    assert decode_picture(saved(_colour(), "JPEG", comment="s17"), 32).comment == "s17"
    rgb = decode_picture(saved(_colour(64, 64), "PNG"), 32).rgb
    expected = np.asarray(_colour(64, 64)).reshape(32, 2, 32, 2, 3).mean(axis=(1, 3))
    assert np.abs(rgb - expected).max() <= 0.51


def test_cmyk_becomes_the_same_colours() -> None:
    cmyk = Image.new("CMYK", (32, 32), (0, 255, 255, 0))
    cmyk.paste((255, 0, 0, 0), (0, 0, 16, 32))
    rgb = decode_picture(saved(cmyk, "JPEG", quality=95), 32).rgb
    assert np.abs(rgb[16, 24].astype(int) - (255, 0, 0)).max() < 12
    assert np.abs(rgb[16, 4].astype(int) - (0, 255, 255)).max() < 12


def test_transparency_lies_on_white() -> None:
    rgba = Image.new("RGBA", (32, 32), (200, 0, 0, 255))
    rgba.paste((0, 0, 200, 0), (0, 0, 16, 32))
    rgba.paste((0, 0, 200, 128), (0, 0, 16, 8))
    rgb = decode_picture(saved(rgba, "PNG"), 32).rgb
    assert rgb[20, 4].tolist() == [255, 255, 255]
    assert np.abs(rgb[4, 4].astype(int) - (127, 127, 227)).max() <= 1
    assert rgb[4, 24].tolist() == [200, 0, 0]
    palette = Image.new("P", (32, 32), 0)
    palette.putpalette([10, 20, 30, 250, 0, 0])
    palette.paste(1, (0, 0, 16, 32))
    rgb = decode_picture(saved(palette, "PNG", transparency=0), 32).rgb
    assert rgb[0, [31, 0]].tolist() == [[255, 255, 255], [250, 0, 0]]


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied(orientation: int) -> None:
    upright = np.zeros((32, 32, 3), np.uint8)
    upright[:16, :16], upright[:16, 16:], upright[16:, :16] = (250, 0, 0), (0, 250, 0), (0, 0, 250)
    stored = {
        1: upright, 2: upright[:, ::-1], 3: upright[::-1, ::-1], 4: upright[::-1],
        5: upright.transpose(1, 0, 2), 6: np.rot90(upright, 1),
        7: np.rot90(upright.transpose(1, 0, 2), 2), 8: np.rot90(upright, -1),
    }[orientation]  # fmt: skip
    exif = Image.Exif()
    exif[274] = orientation
    data = saved(Image.fromarray(np.ascontiguousarray(stored)), "PNG", exif=exif)
    assert np.array_equal(decode_picture(data, 32).rgb, upright)


def test_sixteen_bit_colour_keeps_its_high_bytes() -> None:
    row = b"\x00" + b"".join(struct.pack(">HHH", 200 << 8 | 7, 100 << 8, i << 8) for i in range(32))
    rgb = decode_picture(_png(32, 32, 16, 2, row * 32), 32).rgb
    assert np.abs(rgb[0, 9].astype(int) - (200, 100, 9)).max() <= 1


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "empty file"),
        (b"plain words", "not a readable image"),
        (saved(_colour(), "PNG")[:-300], "not a readable image"),
        (saved(_colour(256, 256), "JPEG")[:900], "not a readable image"),
        (saved(_colour(1, 1), "PNG"), "smaller than 16 px a side (1x1)"),
        (saved(_colour(400, 15), "PNG"), "smaller than 16 px a side (400x15)"),
        (saved(_colour().convert("L"), "PNG"), "grayscale (mode L)"),
        (saved(_colour().convert("LA"), "PNG"), "grayscale (mode LA)"),
        (saved(_colour().convert("1"), "PNG"), "grayscale (mode 1)"),
        (saved(_colour().convert("L").convert("RGB"), "PNG"), "grayscale: red, green and blue"),
        (_png(32, 32, 16, 0, (b"\x00" + b"\x12\x34" * 32) * 32), "grayscale (mode I;16"),
        (_png(8000, 8000, 8, 2, b""), "over 50 megapixels"),
        (_png(30000, 30000, 8, 2, b""), "over 50 megapixels"),
        # Pillow would start Ghostscript.
        (saved(_colour(), "EPS"), "not a readable image (unknown format)"),
    ],
)
def test_left_out_with_the_reason(data: bytes, reason: str) -> None:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="PIL")
        with pytest.raises(UnusableError) as caught:
            decode_picture(data, 32)
    assert str(caught.value).startswith(reason)


def test_at_its_own_size_a_picture_without_colour_is_read_too() -> None:
    gray = _colour(40, 20).convert("L")
    rgb = decode_rgb(saved(gray, "PNG")).rgb
    assert rgb.shape == (20, 40, 3)
    assert is_grayscale(rgb)
    assert np.array_equal(rgb[..., 0], np.asarray(gray))
    assert not is_grayscale(np.asarray(_colour()))


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_sixteen_bit_grayscale_keeps_its_high_bytes(kind: str) -> None:
    levels = np.arange(32 * 32, dtype=np.uint16).reshape(32, 32) * 64
    rgb = decode_rgb(saved(Image.fromarray(levels), kind)).rgb
    assert np.abs(rgb[..., 1] - levels / 65535 * 255).max() <= 0.51
    with pytest.raises(UnusableError, match="save with 8 or 16 bits"):
        decode_rgb(saved(Image.fromarray(np.ones((32, 32), np.int32)), "TIFF"))
