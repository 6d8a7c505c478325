"""The image formats that are read, and the extensions by which a file counts as an image."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

# By the names of Pillow, which tells formats apart by their content; a file's extension only
# decides whether it is looked at. Pillow reads more formats: docs/images.md says why not here.
_FORMATS: Mapping[str, tuple[str, ...]] = {
    "JPEG": (".jpg", ".jpeg", ".jpe", ".jfif", ".jif", ".jfi", ".mpo"),
    "PNG": (".png", ".apng"),
    "TIFF": (".tif", ".tiff"),
    "WEBP": (".webp",),
    "GIF": (".gif",),
    "BMP": (".bmp",),
    "DIB": (".dib",),
    "AVIF": (".avif", ".avifs"),
    "JPEG2000": (".jp2", ".j2k", ".j2c", ".jpc", ".jpf", ".jpx"),
    "PPM": (".ppm", ".pgm", ".pbm", ".pnm", ".pfm"),
    "TGA": (".tga", ".icb", ".vda", ".vst"),
    "PCX": (".pcx",),
    "DDS": (".dds",),
    "SGI": (".sgi", ".rgb", ".rgba", ".bw"),
    "QOI": (".qoi",),
}
_TIFF_STARTS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_HEIF_EXTENSIONS = (".heic", ".heif", ".hif")
_HEIF_BRANDS = frozenset(
    (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"mif1", b"msf1")
)

IMAGE_EXTENSIONS = frozenset((*(e for row in _FORMATS.values() for e in row), *_HEIF_EXTENSIONS))


def readable_formats(data: bytes) -> tuple[str, ...]:
    """Return Pillow's names of the formats as which `data` may be read."""
    return (*_FORMATS, "HEIF") if is_heif(data) and _registers_heif() else tuple(_FORMATS)


def is_heif(data: bytes) -> bool:
    """Whether a file is HEIF, such as the HEIC files of phones, by its first bytes."""
    return data[4:8] == b"ftyp" and data[8:12] in _HEIF_BRANDS


def is_tiff(data: bytes) -> bool:
    """Whether a file says that it is TIFF."""
    return data.startswith(_TIFF_STARTS)


@cache
def _registers_heif() -> bool:
    """Let Pillow read HEIF; False where the extra `heic` is not installed."""
    try:
        from pillow_heif import register_heif_opener
    except ImportError:
        return False
    register_heif_opener(thumbnails=False)
    return True
