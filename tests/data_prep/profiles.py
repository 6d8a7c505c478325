"""ICC profiles, and their colours computed with NumPy from the definitions of the spaces."""

from __future__ import annotations

import itertools
import struct
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

D50, D65 = np.array([0.9642, 1.0, 0.8249]), np.array([0.95047, 1.0, 1.08883])
_BRADFORD = np.array(
    [[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]]
)
SRGB = ((0.64, 0.33), (0.30, 0.60), (0.15, 0.06))
P3 = ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060))
ADOBE = ((0.64, 0.33), (0.21, 0.71), (0.15, 0.06))
PROPHOTO = ((0.7347, 0.2653), (0.1596, 0.8404), (0.0366, 0.0001))
# The curve of sRGB and P3 as ICC's function of type 3.
_SRGB_FUNCTION = (2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)
SRGB_CURVE = b"para" + struct.pack(">IHH5i", 0, 3, 0, *(round(v * 65536) for v in _SRGB_FUNCTION))
_GRID, _DOT_GAIN = 13, 0.7


def linear(encoded: Floats) -> Floats:
    """From sRGB in [0, 1] to light."""
    return np.where(encoded <= 0.04045, encoded / 12.92, ((encoded + 0.055) / 1.055) ** 2.4)


def srgb_curve(light: Floats) -> Floats:
    light = np.clip(light, 0, 1)
    return np.where(light <= 0.0031308, light * 12.92, 1.055 * light ** (1 / 2.4) - 0.055)


def gamma(power: float) -> tuple[bytes, Callable[[Floats], Floats]]:
    """A profile's curve, and the function from light to encoded values."""
    curve = b"curv" + struct.pack(">IIH", 0, 1, round(power * 256)) + bytes(2)
    return curve, lambda light: np.clip(light, 0, 1) ** (1 / power)


def to_xyz(primaries: tuple[tuple[float, float], ...], white: Floats = D65) -> Floats:
    """The matrix from linear RGB to XYZ, adapted to D50."""
    columns = np.array([[x / y, 1, (1 - x - y) / y] for x, y in primaries]).T
    own = columns * np.linalg.solve(columns, white)
    cones = np.diag((_BRADFORD @ D50) / (_BRADFORD @ white))
    return np.linalg.inv(_BRADFORD) @ cones @ _BRADFORD @ own


def encode(
    rgb: npt.NDArray[np.uint8],
    primaries: tuple[tuple[float, float], ...],
    curve: Callable[[Floats], Floats],
    white: Floats = D65,
) -> Floats:
    """Convert an sRGB picture to another space, in [0, 1]."""
    xyz = linear(rgb / 255) @ to_xyz(SRGB).T
    return curve(xyz @ np.linalg.inv(to_xyz(primaries, white)).T)


def lab_d50(rgb: Floats) -> Floats:
    """CIE Lab of sRGB in [0, 1], relative to D50."""
    t = linear(rgb) @ to_xyz(SRGB).T / D50
    f = np.where(t > (6 / 29) ** 3, np.cbrt(t), t / (3 * (6 / 29) ** 2) + 4 / 29)
    x, y, z = np.moveaxis(f, -1, 0)
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], -1)


def matrix_profile(
    primaries: tuple[tuple[float, float], ...], curve: bytes, white: Floats = D65
) -> bytes:
    columns = to_xyz(primaries, white).T
    tags = {f"{c}XYZ".encode(): _xyz(column) for c, column in zip("rgb", columns, strict=True)}
    tags |= dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), curve)
    return profile(b"RGB ", tags)


def gray_profile(curve: bytes) -> bytes:
    return profile(b"GRAY", {b"kTRC": curve})


def cmyk_profile() -> bytes:
    """A printer whose dots grow: an ink of `c` covers `c ** 0.7`."""
    levels = np.arange(256) / 255
    inks = np.array(list(itertools.product(np.linspace(0, 1, _GRID), repeat=4)))
    lab = lab_d50((1 - inks[:, :3]) * (1 - inks[:, 3:])) * (2.55, 1, 1) + (0, 128, 128)
    identity = struct.pack(">9i", *(np.eye(3).ravel() * 65536).astype(int))
    table = (
        b"mft1" + struct.pack(">IBBBx", 0, 4, 3, _GRID) + identity
        + np.rint(levels**_DOT_GAIN * 255).astype(np.uint8).tobytes() * 4
        + np.rint(np.clip(lab, 0, 255)).astype(np.uint8).tobytes()
        + np.arange(256, dtype=np.uint8).tobytes() * 3
    )  # fmt: skip
    return profile(b"CMYK", {b"A2B0": table}, kind=b"prtr", pcs=b"Lab ", version=2)


def encode_cmyk(rgb: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """The inks with which that printer prints an sRGB picture."""
    wanted = rgb / 255
    black = (1 - wanted.max(-1, keepdims=True)) / 2
    covered = np.concatenate([1 - wanted / (1 - black), black], -1)
    return np.rint(covered ** (1 / _DOT_GAIN) * 255).astype(np.uint8)


def profile(
    space: bytes,
    tags: dict[bytes, bytes],
    *,
    kind: bytes = b"mntr",
    pcs: bytes = b"XYZ ",
    version: int = 4,
) -> bytes:
    text = b"desc" + struct.pack(">II", 0, 5) + b"test\0" + bytes(79)
    tags = {b"desc": text, b"cprt": b"text\0\0\0\0none\0\0\0\0", b"wtpt": _xyz(D50), **tags}
    start = 132 + 12 * len(tags)
    table, body = struct.pack(">I", len(tags)), b""
    for name, data in tags.items():
        table += name + struct.pack(">II", start + len(body), len(data))
        body += data + bytes(-len(data) % 4)
    length = start + len(body)
    head = struct.pack(">I4xI4s4s4s12x4s", length, version << 24, kind, space, pcs, b"acsp")
    head = head.ljust(68, b"\0") + _xyz(D50)[8:]
    return head.ljust(128, b"\0") + table + body


def _xyz(values: Floats) -> bytes:
    return b"XYZ " + struct.pack(">I3i", 0, *(round(float(v) * 65536) for v in values))
