"""Pictures that mean harm: small files whose headers promise 100 000 x 100 000 pixels."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
import pillow_heif
from PIL import Image

HUGE = 100_000
FORMATS = (
    "PNG", "JPEG", "BMP", "GIF", "TIFF", "WEBP", "PPM", "JPEG2000", "AVIF", "TGA", "PCX", "DDS",
    "SGI", "QOI",
)  # fmt: skip
pillow_heif.register_heif_opener()


def picture(kind: str = "PNG", size: tuple[int, int] = (40, 30), seed: int = 0) -> bytes:
    """A small coloured picture that is as it should be."""
    pixels = np.random.RandomState(seed).randint(0, 256, (size[1], size[0], 3)).astype(np.uint8)
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, kind)
    return stream.getvalue()


def huge(kind: str) -> bytes:
    """A small file of the format `kind` whose header promises as many pixels as it may."""
    return _HUGE[kind]()


def huge_animation() -> bytes:
    """A GIF whose screen is small and whose second frame is 60 000 x 60 000."""
    first, second = picture("GIF"), bytearray(picture("GIF", seed=1))
    frame = second.index(b",", 13)  # the image descriptor follows screen and palette
    second[frame + 5 : frame + 9] = struct.pack("<HH", 60_000, 60_000)
    return first[:-1] + bytes(second[frame:])


def huge_first_frame() -> bytes:
    """A GIF whose only frame is far larger than its screen."""
    data = bytearray(picture("GIF"))
    start = 13 + 3 * 2 ** ((data[10] & 7) + 1)
    frame = data.index(b",", start)
    data[frame + 5 : frame + 9] = struct.pack("<HH", 65_000, 65_000)
    return bytes(data)


def text_bomb() -> bytes:
    """A PNG with a comment that unpacks to 100 MB."""
    packer = zlib.compressobj(9)
    block = b"x" * 2**20
    packed = b"".join(packer.compress(block) for _ in range(100)) + packer.flush()
    head, rest = picture()[:33], picture()[33:]
    return head + _chunk(b"zTXt", b"comment\0\0" + packed) + rest


def _chunk(name: bytes, data: bytes) -> bytes:
    body = name + data
    return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))


def _png() -> bytes:
    header = struct.pack(">IIBBBBB", HUGE, HUGE, 8, 2, 0, 0, 0)
    rows = zlib.compress(bytes(2**20), 9)
    return (
        b"\x89PNG\r\n\x1a\n"
        + _chunk(b"IHDR", header)
        + _chunk(b"IDAT", rows)
        + _chunk(b"IEND", b"")
    )


def _patched(kind: str, marker: bytes, skip: int, numbers: bytes) -> bytes:
    """A small picture with other numbers written `skip` bytes after the marker."""
    return _at(kind, picture(kind).index(marker) + len(marker) + skip, numbers)


def _at(kind: str, place: int, numbers: bytes) -> bytes:
    data = bytearray(picture(kind))
    data[place : place + len(numbers)] = numbers
    return bytes(data)


def _tiff() -> bytes:
    entries = [
        *((256, 4, 1, HUGE), (257, 4, 1, HUGE), (258, 3, 1, 8), (259, 3, 1, 8)),
        *((262, 3, 1, 2), (273, 4, 1, 200), (277, 3, 1, 3), (278, 4, 1, HUGE)),
        (279, 4, 1, 1000),
    ]
    directory = struct.pack("<H", len(entries))
    directory += b"".join(struct.pack("<HHII", *entry) for entry in entries) + bytes(4)
    head = b"II*\0" + struct.pack("<I", 8) + directory
    return head.ljust(200, b"\0") + zlib.compress(bytes(2**20), 9)


def _webp() -> bytes:
    canvas = (HUGE - 1).to_bytes(3, "little") * 2
    extended = b"VP8X" + struct.pack("<I", 10) + bytes(4) + canvas
    small = picture("WEBP")
    body = b"WEBP" + extended + small[12:]
    return b"RIFF" + struct.pack("<I", len(body)) + body


_HUGE = {
    "PNG": _png,
    "JPEG": lambda: _patched("JPEG", b"\xff\xc0", 3, struct.pack(">HH", 65_500, 65_500)),
    "BMP": lambda: _patched("BMP", b"BM", 16, struct.pack("<ii", HUGE, HUGE)),
    "GIF": lambda: _patched("GIF", b"GIF8", 2, struct.pack("<HH", 65_000, 65_000)),
    "TIFF": _tiff,
    "WEBP": _webp,
    "PPM": lambda: b"P6 %d %d 255\n" % (HUGE, HUGE) + bytes(1000),
    "JPEG2000": lambda: _patched("JPEG2000", b"ihdr", 0, struct.pack(">II", HUGE, HUGE)),
    "TGA": lambda: _at("TGA", 12, struct.pack("<HH", 65_000, 65_000)),
    "PCX": lambda: _at("PCX", 8, struct.pack("<HH", 65_000, 65_000)),
    "DDS": lambda: _at("DDS", 12, struct.pack("<II", HUGE, HUGE)),
    "SGI": lambda: _at("SGI", 6, struct.pack(">HH", 65_000, 65_000)),
    "QOI": lambda: _at("QOI", 4, struct.pack(">II", HUGE, HUGE)),
    "AVIF": lambda: _patched("AVIF", b"ispe", 4, struct.pack(">II", HUGE, HUGE)),
}
