"""One scene in every mode, depth, colour profile and container, and what each shows."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
import pillow_heif
import tifffile
from PIL import Image

from tests.data_prep import profiles as icc
from tests.data_prep.builders import colourful, saved

Bytes = npt.NDArray[np.uint8]

SIDE = 64
pillow_heif.register_heif_opener()


@dataclass(frozen=True)
class Tolerance:
    """How far L, a and b, in levels of 8 bits, may be off on average and at most."""

    mean: float
    most: float


EXACT = Tolerance(0, 0)
ROUNDED = Tolerance(0.8, 3)
LOSSY = Tolerance(1.5, 10)
# Eight bits of a wide space have coarser steps than eight bits of sRGB.
WIDE = Tolerance(1, 6)
PALETTE = Tolerance(4, 30)


@dataclass(frozen=True)
class Case:
    """A file's bytes, the sRGB picture that it shows, and how exactly."""

    data: bytes
    shown: Bytes
    tolerance: Tolerance
    note: str = ""


def scene() -> Image.Image:
    return colourful(3, SIDE, SIDE)


def rgb() -> Bytes:
    return np.asarray(scene())


def opacity() -> Bytes:
    """From left to right: nothing, half, all."""
    return np.repeat(np.array([0, 128, 255, 255], np.uint8), SIDE // 4)[None].repeat(SIDE, 0)


def on_white(pixels: Bytes) -> Bytes:
    pixels, alpha = shown(pixels), opacity()[..., None] / 255
    return np.rint(pixels * alpha + 255 * (1 - alpha)).astype(np.uint8)


def gray() -> Bytes:
    return np.asarray(scene().convert("L"))


def shown(pixels: Bytes) -> Bytes:
    """As three channels."""
    return pixels if pixels.ndim == 3 else np.repeat(pixels[..., None], 3, -1)


def in_mode(mode: str) -> Image.Image:
    """The scene in a mode of Pillow; those with opacity have `opacity()`."""
    deep = gray().astype(np.uint16) * 257
    alpha = Image.fromarray(opacity())
    if mode in ("LA", "RGBA"):
        image = scene().convert(mode)
        image.putalpha(alpha)
        return image
    if mode == "PA":
        image = scene().quantize(256).convert("PA")
        image.putalpha(alpha)
        return image
    if mode == "LAB":
        lab = np.rint(icc.lab_d50(rgb() / 255) * (2.55, 1, 1)).astype(np.int16)
        return Image.frombytes("LAB", (SIDE, SIDE), lab.astype(np.uint8).tobytes())
    if mode == "I;16B":
        return Image.frombytes(mode, (SIDE, SIDE), deep.astype(">u2").tobytes())
    if mode == "I;16":
        return Image.fromarray(deep)
    if mode == "I":
        return Image.fromarray(deep.astype(np.int32))
    if mode == "F":
        return Image.fromarray(np.float32(gray() / 255))
    return scene().quantize(256) if mode == "P" else scene().convert(mode)


# What Pillow writes as what it is. GIF, WebP and AVIF take any mode and write another.
WRITTEN = {
    "PNG": "1 L LA P RGB RGBA I;16 I;16B",
    "TIFF": "1 L LA P PA RGB RGBA RGBX CMYK YCbCr LAB I;16 I;16B F",
    "JPEG": "L RGB RGBX CMYK YCbCr",
    "MPO": "L RGB CMYK YCbCr",
    "JPEG2000": "L LA RGB RGBA CMYK YCbCr I;16 I;16B",
    "WEBP": "L LA P RGB RGBA",
    "AVIF": "L LA P RGB RGBA",
    "HEIF": "L LA P RGB RGBA I;16",
    "GIF": "1 L P RGB RGBA",
    "BMP": "1 L P RGB RGBA",
    "DIB": "1 L P RGB RGBA",
    "PPM": "1 L RGB RGBA I;16 I F",
    "TGA": "1 L LA P RGB RGBA",
    "PCX": "1 L P RGB",
    "DDS": "L LA RGB RGBA",
    "SGI": "L RGB RGBA",
    "QOI": "RGB RGBA",
}
_OPTIONS: dict[str, dict[str, Any]] = {
    "JPEG": {"quality": 95, "subsampling": 0},
    "MPO": {"quality": 95, "subsampling": 0},
    "WEBP": {"lossless": True},
    "AVIF": {"quality": 95, "subsampling": "4:4:4"},
    "HEIF": {"quality": 95, "chroma": 444},
}
_LOSSY = ("JPEG", "MPO", "AVIF", "HEIF")
_DROP_ALPHA = ("BMP", "DIB", "PPM")  # Pillow writes none, or a byte that is not said to be opacity


def save(image: Image.Image, container: str, **options: Any) -> bytes:
    return saved(image, container, **_OPTIONS.get(container, {}) | options)


def _tolerance(container: str, mode: str) -> Tolerance:
    if container == "GIF" and mode.startswith("RGB"):
        return PALETTE
    if container in _LOSSY:
        return LOSSY
    return ROUNDED if mode in ("YCbCr", "LAB", "LA", "PA", "RGBA") else EXACT


def _written(container: str, mode: str) -> Case:
    pixels = gray() if mode in ("L", "LA", "I;16", "I;16B", "I", "F") else rgb()
    if mode in ("1", "P", "PA"):
        pixels = np.asarray(in_mode(mode).convert("RGB"))
    if mode.endswith("A") and container not in _DROP_ALPHA:
        pixels = on_white(pixels)
        if container == "GIF":  # a pixel is there or not
            pixels = np.where(opacity()[..., None] == 0, 255, rgb()).astype(np.uint8)
    return Case(save(in_mode(mode), container), shown(pixels), _tolerance(container, mode))


def _scaled(values: icc.Floats, top: int) -> npt.NDArray[Any]:
    return np.rint(values * top).astype(np.uint16 if top > 255 else np.uint8)


SPACES: dict[str, tuple[bytes, Callable[[Bytes], icc.Floats]]] = {
    "Display P3": (
        icc.matrix_profile(icc.P3, icc.SRGB_CURVE),
        lambda pixels: icc.encode(pixels, icc.P3, icc.srgb_curve),
    ),
    "Adobe RGB": (
        icc.matrix_profile(icc.ADOBE, icc.gamma(2.2)[0]),
        lambda pixels: icc.encode(pixels, icc.ADOBE, icc.gamma(round(2.2 * 256) / 256)[1]),
    ),
    "ProPhoto": (
        icc.matrix_profile(icc.PROPHOTO, icc.gamma(1.8)[0], icc.D50),
        lambda pixels: icc.encode(
            pixels, icc.PROPHOTO, icc.gamma(round(1.8 * 256) / 256)[1], icc.D50
        ),
    ),
}


def profiled(container: str, space: str, **options: Any) -> Case:
    profile, encode = SPACES[space]
    image = Image.fromarray(_scaled(encode(rgb()), 255))
    data = save(image, container, icc_profile=profile, **options)
    if container == "JPEG2000":
        data = with_jp2_profile(data, profile)
    return Case(data, rgb(), LOSSY if container in _LOSSY else WIDE)


def with_jp2_profile(data: bytes, profile: bytes) -> bytes:
    """Replace the enumerated space in a JP2's colour box, which is 15 bytes long."""
    at = data.index(b"\0\0\0\x0fcolr")
    new = struct.pack(">I4sBBB", 11 + len(profile), b"colr", 2, 0, 0) + profile
    head = data.index(b"jp2h") - 4
    length = struct.unpack_from(">I", data, head)[0] + len(new) - 15
    return data[:head] + struct.pack(">I", length) + data[head + 4 : at] + new + data[at + 15 :]


def png(depth: int, kind: int, rows: Bytes, *chunks: tuple[bytes, bytes]) -> bytes:
    """A PNG of rows of packed samples, with further chunks before them."""
    head = struct.pack(">IIBBBBB", SIDE, SIDE, depth, kind, 0, 0, 0)
    lines = np.concatenate([np.zeros((SIDE, 1), np.uint8), rows.reshape(SIDE, -1)], 1)
    parts = [(b"IHDR", head), *chunks, (b"IDAT", zlib.compress(lines.tobytes())), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        for name, data in parts
    )


def sixteen(*planes: Bytes) -> Bytes:
    """Big-endian 16-bit samples of 8-bit planes."""
    deep = np.stack(planes, -1).astype(np.uint16) * 257
    return deep.astype(">u2").view(np.uint8)


def packed(levels: Bytes, bits: int) -> Bytes:
    """Samples of 1, 2 or 4 bits, several to a byte."""
    wide = np.unpackbits(levels[..., None], axis=-1)[..., 8 - bits :]
    return np.packbits(wide.reshape(SIDE, -1), axis=-1)


def tiff(pixels: npt.NDArray[Any], **options: Any) -> bytes:
    stream = io.BytesIO()
    tifffile.imwrite(stream, pixels, metadata=None, **options)
    return stream.getvalue()


def small_gray(bits: int, clear: int | None = None) -> Case:
    """A gray PNG of few bits; its transparent value is the raw sample `clear`."""
    top = 2**bits - 1
    levels = np.rint(gray() / 255 * top).astype(np.uint8)
    values = levels * (255 // top)
    chunks = [] if clear is None else [(b"tRNS", struct.pack(">H", clear))]
    white = np.where(levels == clear, 255, values).astype(np.uint8)
    return Case(png(bits, 0, packed(levels, bits), *chunks), shown(white), EXACT)


def ycck() -> Case:
    """A JPEG of YCCK as Adobe writes it: inverted, and marked as transformed."""
    inks = np.asarray(scene().convert("CMYK"))
    light = Image.fromarray(inks[..., :3]).convert("YCbCr")
    planes = [*light.split(), Image.fromarray(255 - inks[..., 3])]
    # Pillow inverts what it writes as CMYK.
    raw = Image.merge("CMYK", [Image.fromarray(255 - np.asarray(plane)) for plane in planes])
    data = bytearray(save(raw, "JPEG"))
    data[data.index(b"Adobe") + 11] = 2
    return Case(bytes(data), rgb(), LOSSY)


@cache
def cmyk_profile() -> bytes:
    return icc.cmyk_profile()


def inks() -> Image.Image:
    return Image.frombytes("CMYK", (SIDE, SIDE), icc.encode_cmyk(rgb()).tobytes())


def gray_profiled(mode: str, container: str) -> Case:
    curve, encode = icc.gamma(1.8)
    levels = encode(icc.linear(gray() / 255))
    image = Image.fromarray(_scaled(levels, 65535 if mode == "I;16" else 255))
    picture = gray()
    if mode == "LA":
        image = Image.merge("LA", [image, Image.fromarray(opacity())])
        picture = on_white(picture)
    data = save(image, container, icc_profile=icc.gray_profile(curve))
    return Case(data, shown(picture), LOSSY if container in _LOSSY else WIDE)


def rotated(container: str, orientation: int) -> Case:
    stored = {
        1: rgb(), 2: rgb()[:, ::-1], 3: rgb()[::-1, ::-1], 4: rgb()[::-1],
        5: rgb().transpose(1, 0, 2), 6: np.rot90(rgb(), 1),
        7: np.rot90(rgb().transpose(1, 0, 2), 2), 8: np.rot90(rgb(), -1),
    }[orientation]  # fmt: skip
    exif = Image.Exif()
    exif[274] = orientation
    data = save(Image.fromarray(np.ascontiguousarray(stored)), container, exif=exif.tobytes())
    return Case(data, rgb(), LOSSY if container in _LOSSY else EXACT)


def animated(container: str, **options: Any) -> Case:
    other = Image.new("RGB", (SIDE, SIDE), "green")
    data = save(scene(), container, save_all=True, append_images=[other], **options)
    note = "" if container == "MPO" else "several frames, the first is read"
    lossy = PALETTE if container == "GIF" else LOSSY if container in _LOSSY else EXACT
    return Case(data, rgb(), lossy, note)


def _by_hand() -> dict[str, Case]:
    planes = [rgb()[..., channel] for channel in range(3)]
    levels = gray()
    clear16 = struct.pack(">H", 257 * int(levels[0, 0]))
    corner = tuple(int(v) for v in rgb()[0, 0])
    clear_rgb = struct.pack(">HHH", *(257 * v for v in corner))
    no_corner = np.where((rgb() == corner).all(-1, keepdims=True), 255, rgb()).astype(np.uint8)
    no_level = np.where(levels == levels[0, 0], 255, levels).astype(np.uint8)
    palette = scene().quantize(256)
    entry = int(np.asarray(palette)[0, 0])
    some = np.asarray(palette.convert("RGB"))
    no_entry = np.where((np.asarray(palette) == entry)[..., None], 255, some).astype(np.uint8)
    half = np.where((np.asarray(palette) == entry)[..., None], some / 2 + 127.5, some)
    alphas = bytes(128 if i == entry else 255 for i in range(256))
    deep = np.stack(planes, -1).astype(np.uint16) * 257
    deep_alpha = np.concatenate([deep, opacity()[..., None].astype(np.uint16) * 257], -1)
    eight = np.concatenate([rgb(), opacity()[..., None]], -1)
    faint = np.rint(eight[..., :3] * (opacity()[..., None] / 255)).astype(np.uint8)
    associated = np.concatenate([faint, opacity()[..., None]], -1)
    lines = "\n".join(" ".join(map(str, row)) for row in rgb().reshape(SIDE, -1).tolist())
    ppm16 = deep.astype(">u2").tobytes()
    return {
        "PNG 2 bits": small_gray(2),
        "PNG 4 bits": small_gray(4),
        "PNG 1 bit, transparent value": small_gray(1, 0),
        "PNG 2 bits, transparent value": small_gray(2, 1),
        "PNG 4 bits, transparent value": small_gray(4, 8),
        "PNG L, transparent value": Case(
            save(in_mode("L"), "PNG", transparency=int(levels[0, 0])), shown(no_level), EXACT
        ),
        "PNG RGB, transparent value": Case(
            save(scene(), "PNG", transparency=corner), no_corner, EXACT
        ),
        "PNG P, transparent entry": Case(save(palette, "PNG", transparency=entry), no_entry, EXACT),
        "PNG P, opacity by entry": Case(
            save(palette, "PNG", transparency=alphas), np.rint(half).astype(np.uint8), ROUNDED
        ),
        "GIF P, transparent entry": Case(save(palette, "GIF", transparency=entry), no_entry, EXACT),
        "PNG 16-bit RGB": Case(png(16, 2, sixteen(*planes)), rgb(), EXACT),
        "PNG 16-bit RGB, transparent value": Case(
            png(16, 2, sixteen(*planes), (b"tRNS", clear_rgb)), no_corner, EXACT
        ),
        "PNG 16-bit RGBA": Case(png(16, 6, sixteen(*planes, opacity())), on_white(rgb()), ROUNDED),
        "PNG 16-bit gray, transparent value": Case(
            png(16, 0, sixteen(levels), (b"tRNS", clear16)), shown(no_level), EXACT
        ),
        "PNG 16-bit gray with opacity": Case(
            png(16, 4, sixteen(levels, opacity())), shown(on_white(shown(levels))), ROUNDED
        ),
        "PNG gAMA": Case(png(8, 2, rgb(), (b"gAMA", struct.pack(">I", 100000))), rgb(), EXACT),
        "TIFF 16-bit RGB": Case(tiff(deep, photometric="rgb"), rgb(), EXACT),
        "TIFF 16-bit RGB, big-endian": Case(
            tiff(deep, photometric="rgb", byteorder=">"), rgb(), EXACT
        ),
        "TIFF 16-bit RGBA": Case(
            tiff(deep_alpha, photometric="rgb", extrasamples=["unassalpha"]),
            on_white(rgb()),
            ROUNDED,
        ),
        "TIFF RGBA, premultiplied": Case(
            tiff(associated, photometric="rgb", extrasamples=["assocalpha"]),
            on_white(rgb()),
            ROUNDED,
        ),
        "TIFF LA, premultiplied": Case(
            tiff(
                np.rint(np.stack([levels * (opacity() / 255), opacity()], -1)).astype(np.uint8),
                extrasamples=["assocalpha"],
            ),
            on_white(levels),
            ROUNDED,
        ),
        "TIFF 16-bit gray, white is zero": Case(
            tiff(65535 - levels.astype(np.uint16) * 257, photometric="miniswhite"),
            shown(levels),
            EXACT,
        ),
        "TIFF gray, white is zero": Case(
            tiff(255 - levels, photometric="miniswhite"), shown(levels), EXACT
        ),
        "TIFF float to 255": Case(tiff(np.float32(levels)), shown(levels), EXACT),
        "TIFF float to 65535": Case(tiff(np.float32(levels) * 257), shown(levels), EXACT),
        "TIFF planes": Case(
            tiff(np.stack(planes), photometric="rgb", planarconfig="separate"), rgb(), EXACT
        ),
        "TIFF tiles": Case(tiff(rgb(), photometric="rgb", tile=(32, 32)), rgb(), EXACT),
        "BigTIFF": Case(tiff(rgb(), photometric="rgb", bigtiff=True), rgb(), EXACT),
        "PPM 16-bit RGB": Case(b"P6 64 64 65535\n" + ppm16, rgb(), EXACT),
        "PPM in digits": Case(b"P3 64 64 255\n" + lines.encode(), rgb(), EXACT),
        "JPEG YCCK": ycck(),
        "JPEG progressive": Case(save(scene(), "JPEG", progressive=True), rgb(), LOSSY),
        "JPEG half chroma": Case(save(scene(), "JPEG", subsampling=2), rgb(), LOSSY),
        "WEBP lossy": Case(save(scene(), "WEBP", lossless=False, quality=95), rgb(), LOSSY),
        "JPEG2000 stream": Case(save(scene(), "JPEG2000", no_jp2=True), rgb(), EXACT),
        "JPEG2000 lossy": Case(
            save(scene(), "JPEG2000", irreversible=True, quality_layers=[8]), rgb(), LOSSY
        ),
        "TGA packed": Case(save(scene(), "TGA", compression="tga_rle"), rgb(), EXACT),
        "DDS DXT5": Case(save(scene().convert("RGBA"), "DDS", pixel_format="DXT5"), rgb(), PALETTE),
        "AVIF half chroma": Case(save(scene(), "AVIF", subsampling="4:2:0"), rgb(), LOSSY),
        **{
            f"TIFF {name}": Case(save(scene(), "TIFF", compression=name), rgb(), EXACT)
            for name in ("tiff_lzw", "tiff_adobe_deflate", "packbits", "zstd")
        },
        "TIFF JPEG": Case(save(scene(), "TIFF", compression="jpeg", quality=95), rgb(), LOSSY),
    }


def _with_profiles() -> dict[str, Case]:
    p3, encode = SPACES["Display P3"]
    in_p3 = Image.fromarray(_scaled(encode(rgb()), 255))
    clear = in_p3.copy()
    clear.putalpha(Image.fromarray(opacity()))
    wide, encode_wide = SPACES["ProPhoto"]
    deep = _scaled(encode_wide(rgb()), 65535)
    srgb = icc.matrix_profile(icc.SRGB, icc.SRGB_CURVE)
    inked = {"icc_profile": cmyk_profile()}
    everywhere = ("PNG", "TIFF", "JPEG", "MPO", "WEBP", "AVIF", "HEIF", "JPEG2000")
    return {
        **{f"{name}, Display P3": profiled(name, "Display P3") for name in everywhere},
        **{
            f"{name}, {space}": profiled(name, space)
            for name in ("PNG", "JPEG", "TIFF")
            for space in ("Adobe RGB", "ProPhoto")
        },
        "PNG RGBA, Display P3": Case(save(clear, "PNG", icc_profile=p3), on_white(rgb()), WIDE),
        "WEBP RGBA, Display P3": Case(save(clear, "WEBP", icc_profile=p3), on_white(rgb()), WIDE),
        "PNG P, Display P3": Case(
            save(in_p3.quantize(256), "PNG", icc_profile=p3), rgb(), PALETTE
        ),
        "PNG L, Display P3": Case(save(in_mode("L"), "PNG", icc_profile=p3), shown(gray()), EXACT),
        "PNG gray RGB, Display P3": Case(
            save(in_mode("L").convert("RGB"), "PNG", icc_profile=p3), shown(gray()), EXACT
        ),
        "TIFF 16-bit RGB, ProPhoto": Case(
            tiff(deep, photometric="rgb", iccprofile=wide), rgb(), WIDE
        ),
        "PNG 16-bit RGB, ProPhoto": Case(
            png(16, 2, deep.astype(">u2").view(np.uint8), _iccp(wide)), rgb(), WIDE
        ),
        "PNG RGB, sRGB": Case(save(scene(), "PNG", icc_profile=srgb), rgb(), EXACT),
        **{
            f"{container} {mode}, gamma 1.8": gray_profiled(mode, container)
            for container, mode in (
                ("PNG", "L"), ("PNG", "LA"), ("PNG", "I;16"), ("TIFF", "L"), ("TIFF", "I;16"),
                ("JPEG", "L"),
            )
        },
        "JPEG CMYK, printer": Case(save(inks(), "JPEG", **inked), rgb(), LOSSY),
        "TIFF CMYK, printer": Case(save(inks(), "TIFF", **inked), rgb(), WIDE),
    }  # fmt: skip


def _iccp(profile: bytes) -> tuple[bytes, bytes]:
    return b"iCCP", b"profile\0\0" + zlib.compress(profile)


def cases() -> dict[str, Case]:
    """All files by name."""
    return {
        **{
            f"{container} {mode}": _written(container, mode)
            for container, modes in WRITTEN.items()
            for mode in modes.split()
        },
        **_by_hand(),
        **_with_profiles(),
        **{
            f"{container}, orientation {orientation}": rotated(container, orientation)
            for container in ("JPEG", "PNG", "TIFF", "WEBP", "AVIF", "HEIF")
            for orientation in range(1, 9)
        },
        **{f"{name}, animated": animated(name) for name in ("GIF", "PNG", "WEBP", "AVIF", "MPO")},
        "TIFF, two pages": animated("TIFF"),
    }
