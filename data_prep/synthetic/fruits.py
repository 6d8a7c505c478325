"""Procedural fruit and vegetables: shape and shading decide the colour."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from data_prep.color import UInt8Array
from data_prep.synthetic.canvas import (
    Canvas,
    FloatArray,
    ellipse,
    lit,
    mix,
    ramp,
    random_state,
    stroke,
)

_PAPER = ramp("0.0 78706c, 0.7 dedee2, 1.0 ffffff")
_RED = ramp("0.0 2c040a, 0.25 7a0c14, 0.45 c61e24, 0.65 e64a36, 0.85 fab28c, 1.0 fff4ec")
_YELLOW = ramp("0.0 3c280a, 0.3 966814, 0.55 deac1e, 0.75 fad840, 0.9 ffee96, 1.0 fffce6")
_ORANGE = ramp("0.0 421204, 0.3 a63e0a, 0.55 e87018, 0.75 fa9842, 0.9 ffce98, 1.0 fff4e4")
_GREEN = ramp("0.0 061808, 0.25 164a18, 0.45 347a28, 0.65 6eac4a, 0.85 bcdc96, 1.0 f4fce8")
_PURPLE = ramp("0.0 14061c, 0.25 3e164e, 0.45 6a2e7e, 0.65 985eac, 0.85 d2b0e0, 1.0 faf2ff")
_LIME = ramp("0.0 222808, 0.3 68761a, 0.55 a8b834, 0.75 d4da60, 0.9 f0eea6, 1.0 fefce4")
_WOOD = ramp("0.0 1e140c, 0.5 684a2a, 1.0 b08c5c")


# Centres of one, two or three pieces.
_SPOTS = (
    ((0.0, 0.0),),
    ((-0.4, -0.12), (0.38, 0.18)),
    ((-0.45, -0.3), (0.42, -0.22), (0.0, 0.4)),
)


@dataclass(frozen=True)
class _Place:
    """Where one piece lies, and the light it lies in (leaning as its coordinates do)."""

    x: FloatArray
    y: FloatArray
    light: tuple[float, float]
    gain: float


def draw_fruit(seed: int, category: str, number: int, size: int) -> UInt8Array:
    """Draw picture `number` of a category: sRGB (size,size,3) uint8, the same for the same seed."""
    random = random_state("fruit", seed, category, number)
    canvas = Canvas(size)
    light = (float(random.uniform(-0.6, 0.6)), float(random.uniform(-0.7, -0.35)))
    gain = float(random.uniform(0.82, 1.08))
    paper = float(random.uniform(0.84, 1.0)) - 0.1 * canvas.y**2 * float(random.uniform(0, 1))
    canvas.ramp(np.ones_like(canvas.x), np.clip(paper, 0, 1), _PAPER)
    draw, upright = _DRAWERS[category]
    pieces = 1 + int(random.uniform() < 0.4) + int(random.uniform() < 0.15)
    for piece in range(pieces):
        scale = float(random.uniform(0.62, 0.8)) / (1, 1.45, 1.65)[pieces - 1]
        cx, cy = _centre(random, piece, pieces)
        lean = mix(0.25, 1.1, float(random.uniform())) if not upright else 0.3
        angle = float(random.uniform(-1, 1)) * lean
        _shadow(canvas, cx, cy, scale, light)
        x, y = canvas.local(cx, cy, scale, angle)
        cos, sin = float(np.cos(angle)), float(np.sin(angle))
        turned = (light[0] * cos + light[1] * sin, light[1] * cos - light[0] * sin)
        draw(canvas, random, _Place(x, y, turned, gain))
    return canvas.finish(random, grain=3.0)


def _centre(random: np.random.RandomState, piece: int, pieces: int) -> tuple[float, float]:
    jitter_x, jitter_y = random.uniform(-0.07, 0.07, 2)
    x, y = _SPOTS[pieces - 1][piece]
    return x + float(jitter_x), y + float(jitter_y)


def _shadow(canvas: Canvas, cx: float, cy: float, scale: float, light: tuple[float, float]) -> None:
    dx = (canvas.x - cx + 0.2 * scale * light[0]) / (0.95 * scale)
    dy = (canvas.y - cy - 0.78 * scale) / (0.26 * scale)
    canvas.darken(np.exp(-2.2 * (dx * dx + dy * dy)), 0.3)


def _apple(canvas: Canvas, random: np.random.RandomState, at: _Place) -> None:
    wide = float(random.uniform(0.94, 1.06))
    x, y = at.x / wide, at.y
    around = np.arctan2(x, -y)
    top_dip = 0.2 * np.exp(-((around / 0.38) ** 2))
    bottom_dip = 0.05 * np.exp(-(((np.abs(around) - np.pi) / 0.3) ** 2))
    reach = 0.86 - top_dip - bottom_dip - 0.05 * np.cos(around * 2)
    radius = np.hypot(x, y)
    shade = lit(x / 0.98, y / 0.98, at.light, 0.32, 0.5) * at.gain
    streaks = 0.05 * np.sin(around * 23 + 3 * canvas.noise(random, 6)) * np.clip(radius, 0, 1)
    mask = canvas.cover(radius - reach)
    canvas.ramp(mask, np.clip(shade * 0.82 + streaks, 0, 1), _RED)
    blush = np.exp(-((x / 0.3) ** 2) - ((y + 0.6) / 0.16) ** 2)
    canvas.ramp(mask * blush * 0.75, np.clip(shade * 0.9, 0, 1), _LIME)
    lean = float(random.uniform(-0.15, 0.15))
    _stem(canvas, at, (0.0, -0.58), (lean, -0.98), 0.035)
    if random.uniform() < 0.6:
        _leaf(canvas, at, lean + 0.22, -0.86, 0.5)


def _banana(canvas: Canvas, random: np.random.RandomState, at: _Place) -> None:
    along, across = _bent(at, float(random.uniform(0.75, 1.05)))
    half = 0.23 * np.sqrt(np.clip(1.02 - np.abs(along) ** 3.2, 0.02, 1))
    mask = canvas.cover(np.maximum(np.abs(across) - half, np.abs(along) - 1) * 0.8)
    s = across / half
    facets = 0.05 * np.cos(s * 5)
    shade = lit(0 * s, np.clip(s, -1, 1) * 0.92, at.light, 0.42, 0.22) * at.gain + facets
    spots = np.clip(canvas.noise(random, 20) - 0.72, 0, 1)
    canvas.ramp(mask, np.clip(shade * 0.95 - spots, 0, 1), _YELLOW)
    tips = np.clip((np.abs(along) - 0.86) / 0.12, 0, 1)
    canvas.ramp(mask * tips, np.clip(shade * 0.35, 0, 1), _WOOD)


def _cucumber(canvas: Canvas, random: np.random.RandomState, at: _Place) -> None:
    along, across = _bent(at, float(random.uniform(0.1, 0.4)))
    half = 0.29 * np.clip(1 - np.abs(along) ** 7, 0.001, 1) ** 0.5
    mask = canvas.cover(np.maximum(np.abs(across) - half, np.abs(along) - 1) * 0.8)
    s = np.clip(across / half, -1, 1)
    stripes = 0.06 * np.sin(s * 9 + canvas.noise(random, 5))
    bumps = 0.09 * np.clip(canvas.noise(random, 30), 0.2, 1)
    shade = lit(0 * s, s * 0.95, at.light, 0.3, 0.28) * at.gain
    canvas.ramp(mask, np.clip(shade * 0.66 + stripes + bumps - 0.04, 0, 1), _GREEN)
    end = np.clip((along - 0.8) / 0.2, 0, 1)
    canvas.ramp(mask * end * 0.6, np.clip(shade * 0.85, 0, 1), _LIME)


def _carrot(canvas: Canvas, random: np.random.RandomState, at: _Place) -> None:
    x, y = at.x, at.y
    for side in np.linspace(-0.32, 0.32, 6):
        tip = (float(side) + float(random.uniform(-0.08, 0.08)), float(random.uniform(-1.15, -0.9)))
        frond = stroke(x, y, (float(side) * 0.3, -0.52), tip, 0.035)
        canvas.ramp(canvas.cover(frond, 0.01), (0.42 + 0.25 * float(side)) * at.gain, _GREEN)
        tuft = ellipse(x - tip[0], y - tip[1] - 0.04, 0.085, 0.12)
        canvas.ramp(canvas.cover(tuft, 0.03), (0.5 + 0.2 * float(side)) * at.gain, _GREEN)
    t = np.clip((y + 0.55) / 1.5, 0, 1)
    half = 0.3 * np.clip(1 - t, 0, 1) ** 0.75 * np.clip(t / 0.06, 0, 1) ** 0.35 + 1e-3
    mask = canvas.cover(np.maximum(np.abs(x) - half, np.abs(y - 0.2) - 0.75) * 0.85)
    s = np.clip(x / half, -1, 1)
    rings = np.clip(np.sin(y * 34 + 4 * canvas.noise(random, 7)) - 0.75, 0, 1)
    shade = lit(s * 0.95, 0 * s, at.light, 0.4, 0.2) * at.gain
    canvas.ramp(mask, np.clip(shade * 0.84 - 0.5 * rings, 0, 1), _ORANGE)


def _grapes(canvas: Canvas, random: np.random.RandomState, at: _Place) -> None:
    _stem(canvas, at, (0.0, -0.55), (float(random.uniform(-0.15, 0.15)), -1.0), 0.035)
    _leaf(canvas, at, 0.2, -0.72, 0.75)
    for row, count in enumerate((3, 4, 4, 3, 2, 1)):
        for column in range(count):
            gx = (column - (count - 1) / 2) * 0.34 + float(random.uniform(-0.04, 0.04))
            gy = -0.5 + row * 0.26 + float(random.uniform(-0.04, 0.04))
            radius = float(random.uniform(0.19, 0.225))
            x, y = (at.x - gx) / radius, (at.y - gy) / radius
            shade = lit(x / 1.02, y / 1.02, at.light, 0.2, 0.55) * at.gain
            bloom = 0.05 * canvas.noise(random, 12)
            distance = (np.hypot(x, y) - 1) * radius
            canvas.darken(canvas.cover(distance - 0.02, 0.06), 0.3)
            canvas.ramp(canvas.cover(distance), np.clip(shade * 0.62 + bloom, 0, 1), _PURPLE)


def _pear(canvas: Canvas, random: np.random.RandomState, at: _Place) -> None:
    waist = float(random.uniform(0.34, 0.42))
    x, y = at.x, at.y
    low, high = np.hypot(x, y - 0.3) - 0.58, np.hypot(x, y + 0.45) - waist
    blend = np.clip(0.5 + 0.5 * (high - low) / 0.45, 0, 1)
    distance = high + (low - high) * blend - 0.45 * blend * (1 - blend)
    half = 0.62 - (0.62 - waist) * np.clip(0.3 - y, 0, 0.9) / 0.9
    lean_x, lean_y = np.clip(x / half, -1, 1) * 0.97, np.clip((y - 0.05) / 0.98, -1, 1)
    shade = lit(lean_x, lean_y, at.light, 0.36, 0.32) * at.gain
    freckles = 0.12 * np.clip(canvas.noise(random, 40) - 0.45, 0, 1)
    mask = canvas.cover(distance)
    canvas.ramp(mask, np.clip(shade * 0.9 - freckles, 0, 1), _LIME)
    _stem(canvas, at, (0.0, -0.8), (float(random.uniform(-0.14, 0.14)), -1.1), 0.035)
    if random.uniform() < 0.4:
        _leaf(canvas, at, 0.2, -0.98, 0.4)


def _bent(at: _Place, bend: float) -> tuple[FloatArray, FloatArray]:
    """Return coordinates along ([-1,1] from end to end) and across a body bent like a bow."""
    centre = 1 / bend
    x, y = at.x, at.y - 0.25 * bend
    along = np.arctan2(x, centre + y) * centre
    across = np.hypot(x, centre + y) - centre
    return along / 0.98, across


def _stem(
    canvas: Canvas, at: _Place, start: tuple[float, float], end: tuple[float, float], half: float
) -> None:
    canvas.ramp(canvas.cover(stroke(at.x, at.y, start, end, half)), 0.45 * at.gain, _WOOD)


def _leaf(canvas: Canvas, at: _Place, cx: float, cy: float, light: float) -> None:
    x, y = (at.x - cx) * 0.94 + (at.y - cy) * 0.34, (at.y - cy) * 0.94 - (at.x - cx) * 0.34
    blade = np.maximum(np.hypot(x, y - 0.2), np.hypot(x, y + 0.2)) - 0.32
    vein = np.exp(-((y / 0.02) ** 2))
    shade = np.clip((light + 0.5 * y + 0.12 * vein) * at.gain, 0, 1)
    canvas.ramp(canvas.cover(blade), shade, _GREEN)


_Drawer = Callable[[Canvas, np.random.RandomState, _Place], None]

# How each category is drawn, and whether it stands upright.
_DRAWERS: dict[str, tuple[_Drawer, bool]] = {
    "apple": (_apple, True),
    "banana": (_banana, False),
    "carrot": (_carrot, False),
    "cucumber": (_cucumber, False),
    "grapes": (_grapes, True),
    "pear": (_pear, True),
}

CATEGORIES = tuple(_DRAWERS)
