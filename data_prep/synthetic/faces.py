"""Procedural faces: colour follows from what a part is and how light it is."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from data_prep.color import UInt8Array
from data_prep.synthetic.canvas import (
    Canvas,
    FloatArray,
    Ramp,
    ellipse,
    lit,
    mix,
    random_state,
    stroke,
)

_SKIN: Ramp = (
    (0.0, 22, 10, 8), (0.2, 78, 42, 27), (0.4, 140, 84, 58), (0.6, 199, 137, 103),
    (0.8, 238, 191, 160), (1.0, 255, 238, 224),
)  # fmt: skip
_BLUSH: Ramp = (
    (0.0, 30, 6, 8), (0.2, 92, 34, 28), (0.4, 164, 72, 60), (0.6, 222, 118, 102),
    (0.8, 248, 172, 156), (1.0, 255, 226, 216),
)  # fmt: skip
_LIPS: Ramp = (
    (0.0, 30, 4, 8), (0.25, 108, 30, 34), (0.5, 186, 74, 74), (0.75, 228, 128, 122),
    (1.0, 255, 200, 194),
)  # fmt: skip
_HAIR: Ramp = (
    (0.0, 14, 11, 13), (0.15, 42, 28, 23), (0.35, 104, 60, 31), (0.55, 176, 120, 58),
    (0.8, 232, 198, 132), (1.0, 252, 240, 206),
)  # fmt: skip
_IRIS: Ramp = ((0.0, 20, 12, 8), (0.3, 92, 56, 28), (0.5, 92, 124, 74), (0.8, 120, 170, 208))
_WALL: Ramp = (
    (0.0, 26, 18, 14), (0.3, 98, 66, 46), (0.5, 118, 128, 124), (0.75, 156, 190, 206),
    (1.0, 232, 242, 248),
)  # fmt: skip
_ROUND_COLLAR: Ramp = ((0.0, 14, 18, 40), (0.4, 40, 78, 146), (0.8, 140, 186, 226))
_V_NECK: Ramp = ((0.0, 36, 8, 18), (0.4, 148, 38, 54), (0.8, 232, 142, 136))

_EYE_WHITE = np.array((240, 236, 230), dtype=np.float32)
_INK = np.array((24, 16, 16), dtype=np.float32)
_MOUTH_INSIDE = np.array((70, 18, 22), dtype=np.float32)

_HAIR_STYLES = ("short", "long", "curly", "bald", "bob", "bun")


@dataclass(frozen=True)
class _Person:
    """What stays the same in all pictures of a subject."""

    skin: float
    hair: float
    style: str
    width: float
    height: float
    jaw: float
    iris: float
    eye_gap: float
    brow: float
    nose: float
    lips: float
    glasses: bool
    beard: bool
    v_neck: bool
    shirt: float


def draw_face(seed: int, subject: int, number: int, size: int) -> UInt8Array:
    """Draw picture `number` of a subject: sRGB (size,size,3) uint8, the same for the same seed."""
    person = _person(seed, subject)
    random = random_state("face", seed, subject, number)
    canvas = Canvas(size)
    light = (float(random.uniform(-0.65, 0.65)), float(random.uniform(-0.6, -0.1)))
    gain = float(random.uniform(0.82, 1.12))
    _wall(canvas, random, light)
    turn = float(random.uniform(-0.2, 0.2))
    cx, cy = float(random.uniform(-0.09, 0.09)), float(random.uniform(-0.02, 0.1))
    scale = float(random.uniform(0.93, 1.1))
    x, y = canvas.local(cx, cy, scale, turn)
    look = float(random.uniform(-0.06, 0.06))

    _hair_behind(canvas, person, x, y, light, gain)
    _shoulders(canvas, person, x, y, light, gain)
    _head(canvas, person, x, y, light, gain)
    _eyes(canvas, person, x, y, look, gain, squint=float(random.uniform(0.75, 1.05)))
    _nose(canvas, person, x, y, light)
    _mouth(
        canvas, person, x, y, gain,
        smile=float(random.uniform(0.05, 1.0)), opened=float(random.uniform(-0.6, 1.0)),
    )  # fmt: skip
    _hair_front(canvas, person, x, y, light, gain, canvas.noise(random, 24))
    return canvas.finish(random, grain=3.5)


def _person(seed: int, subject: int) -> _Person:
    random = random_state("person", seed, subject)
    draw = [float(value) for value in random.uniform(0, 1, 15)]
    style = _HAIR_STYLES[int(draw[2] * len(_HAIR_STYLES))]
    skin = mix(0.34, 0.9, draw[0])
    return _Person(
        skin=skin,
        hair=mix(0.05, 0.75, draw[1] ** 1.6) * (0.45 if skin < 0.5 else 1.0),
        style=style,
        width=mix(0.43, 0.52, draw[3]),
        height=mix(0.58, 0.66, draw[4]),
        jaw=mix(0.05, 0.32, draw[5]),
        iris=mix(0.1, 0.8, draw[6]) * (0.45 if skin < 0.55 else 1.0),
        eye_gap=mix(0.185, 0.225, draw[7]),
        brow=mix(0.018, 0.034, draw[8]),
        nose=mix(0.05, 0.085, draw[9]),
        lips=mix(0.035, 0.062, draw[10]),
        glasses=draw[11] < 0.25,
        beard=style in ("short", "bald", "curly") and draw[12] < 0.45,
        v_neck=draw[13] < 0.5,
        shirt=mix(0.2, 0.75, draw[14]),
    )


def _wall(canvas: Canvas, random: np.random.RandomState, light: tuple[float, float]) -> None:
    base = float(random.uniform(0.2, 0.85))
    shade = base + 0.12 * (canvas.x * light[0] - canvas.y * 0.6)
    shade = shade + 0.03 * canvas.noise(random, 5)
    if random.uniform() < 0.35:
        # Shelves: upright spines, each a little lighter or darker than its neighbour.
        spines = random.uniform(-0.16, 0.16, 14).astype(np.float32)
        shade = shade + spines[np.clip(((canvas.x + 1) * 7).astype(int), 0, 13)]
    canvas.ramp(np.ones_like(canvas.x), np.clip(shade, 0, 1), _WALL)


def _face_edge(person: _Person, x: FloatArray, y: FloatArray) -> FloatArray:
    narrowed = 1 - person.jaw * np.clip(y / person.height, 0, 1) ** 1.5
    return ellipse(x / narrowed, y, person.width, person.height)


def _hair_shade(
    person: _Person, x: FloatArray, y: FloatArray, light: tuple[float, float], gain: float
) -> FloatArray:
    glow = lit(np.clip(x / 0.8, -1, 1), np.clip(y / 0.9, -1, 1), light, 0.5, 0.18)
    strands = 0.05 * np.sin(x * 55 + 6 * np.sin(y * 4))
    shade: FloatArray = np.clip((person.hair * (0.55 + 0.6 * glow) + strands * glow) * gain, 0, 1)
    return shade


def _hair_behind(
    canvas: Canvas, person: _Person, x: FloatArray, y: FloatArray,
    light: tuple[float, float], gain: float,
) -> None:  # fmt: skip
    shade = _hair_shade(person, x, y, light, gain) * 0.75
    if person.style == "long":
        edge = np.maximum(ellipse(x, y - 0.25, person.width + 0.17, 1.05), y - 0.98)
    elif person.style == "bob":
        edge = np.maximum(ellipse(x, y + 0.02, person.width + 0.15, 0.74), y - 0.42)
    elif person.style == "curly":
        angle = np.arctan2(y + 0.2, x)
        edge = ellipse(x, y + 0.2, person.width + 0.2, 0.64) + 0.035 * np.sin(angle * 15)
    elif person.style == "bun":
        edge = ellipse(x, y + 0.78, 0.2, 0.17)
    else:
        return
    canvas.ramp(canvas.cover(edge, 0.01), shade, _HAIR)


def _shoulders(
    canvas: Canvas, person: _Person, x: FloatArray, y: FloatArray,
    light: tuple[float, float], gain: float,
) -> None:  # fmt: skip
    neck = np.maximum(np.abs(x) - 0.22, 0.3 - y)
    shade = lit(np.clip(x / 0.3, -1, 1), np.zeros_like(x), light, 0.5, 0.0)
    canvas.ramp(canvas.cover(neck), np.clip(person.skin * shade * 0.78 * gain, 0, 1), _SKIN)
    body = ellipse(x, y - 1.35, 0.95, 0.66)
    ramp = _V_NECK if person.v_neck else _ROUND_COLLAR
    hole = ellipse(x, y - 0.66, 0.26, 0.2)
    if person.v_neck:
        hole = (np.abs(x) * 1.5 - (0.98 - y)) * 0.6
    cloth = lit(np.clip(x, -1, 1), np.clip((y - 1.2) / 0.8, -1, 1), light, 0.45, 0.0)
    canvas.ramp(canvas.cover(np.maximum(body, -hole)), person.shirt * cloth * gain, ramp)


def _head(
    canvas: Canvas, person: _Person, x: FloatArray, y: FloatArray,
    light: tuple[float, float], gain: float,
) -> None:  # fmt: skip
    for side in (-1, 1):
        ear = ellipse(x - side * (person.width + 0.01), y - 0.02, 0.07, 0.12)
        canvas.ramp(canvas.cover(ear), person.skin * 0.82 * gain, _BLUSH)
    edge = _face_edge(person, x, y)
    mask = canvas.cover(edge)
    glow = lit(x / (person.width * 1.12), y / (person.height * 1.12), light, 0.52, 0.05)
    shade = np.clip(person.skin * (0.28 + 0.82 * glow) * gain, 0, 1)
    canvas.ramp(mask, shade, _SKIN)
    for side in (-1, 1):
        cheek = np.exp(-(((x - side * 0.27) / 0.13) ** 2) - ((y - 0.15) / 0.11) ** 2)
        canvas.ramp(mask * cheek * 0.6, shade, _BLUSH)
        socket = np.exp(-(((x - side * person.eye_gap) / 0.15) ** 2) - ((y + 0.09) / 0.085) ** 2)
        canvas.darken(mask * socket, 0.16)
    if person.beard:
        bare = np.minimum(ellipse(x, y, person.width * 0.8, 0.24), ellipse(x, y - 0.33, 0.19, 0.1))
        beard = np.maximum(np.maximum(edge, -bare), 0.02 - y)
        canvas.ramp(canvas.cover(beard, 0.04) * 0.92, person.hair * (0.3 + 0.5 * glow), _HAIR)


def _eyes(
    canvas: Canvas, person: _Person, x: FloatArray, y: FloatArray, look: float, gain: float,
    squint: float,
) -> None:  # fmt: skip
    for side in (-1, 1):
        ex, ey = x - side * person.eye_gap, y + 0.06
        almond = ellipse(ex, ey + 0.25 * ex * ex, 0.105, 0.052 * squint)
        white = canvas.cover(almond)
        canvas.paint(white, _EYE_WHITE * min(gain, 1.0) * (0.72 + 0.28 * person.skin))
        iris = np.hypot(ex - look, ey) - 0.048
        ring = canvas.cover(iris) * white
        canvas.ramp(ring, person.iris * (1.1 - 2.5 * np.clip(-ey, 0, 0.1)) * gain, _IRIS)
        canvas.paint(canvas.cover(np.hypot(ex - look, ey) - 0.021) * white, _INK)
        glint = canvas.cover(np.hypot(ex - look + 0.016, ey + 0.016) - 0.011)
        canvas.paint(glint * white, np.array((255, 255, 255), dtype=np.float32))
        lid = np.maximum(np.abs(almond) - 0.009, ey)
        canvas.paint(canvas.cover(lid) * 0.85, _INK)
        arch = y + 0.21 - 0.9 * (ex - side * 0.02) ** 2
        brow = np.maximum(np.abs(arch) - person.brow, np.abs(ex) - 0.125)
        canvas.ramp(canvas.cover(brow, 0.012) * 0.9, person.hair * 0.6, _HAIR)
        if person.glasses:
            rim = np.abs(ellipse(ex, ey, 0.155, 0.12)) - 0.012
            canvas.paint(canvas.cover(rim), _INK)
    if person.glasses:
        canvas.paint(canvas.cover(np.maximum(np.abs(y + 0.08) - 0.012, np.abs(x) - 0.055)), _INK)


def _nose(
    canvas: Canvas, person: _Person, x: FloatArray, y: FloatArray, light: tuple[float, float]
) -> None:
    away = -1 if light[0] > 0 else 1
    side_shadow = stroke(x, y, (away * 0.025, -0.02), (away * person.nose, 0.14), 0.012)
    canvas.darken(canvas.cover(side_shadow, 0.05), 0.28)
    under = ellipse(x, y - 0.168, person.nose * 1.15, 0.022)
    canvas.darken(canvas.cover(under, 0.03), 0.3)
    ridge = np.exp(-((x / 0.022) ** 2) - ((y - 0.11) / 0.05) ** 2)
    canvas.rgb += 26 * ridge[..., None]
    for side in (-1, 1):
        nostril = ellipse(x - side * person.nose * 0.55, y - 0.163, 0.019, 0.012)
        canvas.darken(canvas.cover(nostril), 0.6)


def _mouth(
    canvas: Canvas, person: _Person, x: FloatArray, y: FloatArray, gain: float,
    smile: float, opened: float,
) -> None:  # fmt: skip
    width = mix(0.135, 0.2, max(smile, 0.0))
    line = y - 0.325 - 0.02 * smile + smile * 2.2 * x * x
    thick = np.sqrt(np.clip(1 - (x / width) ** 2, 0, 1))
    gap = max(0.0, opened) * 0.045 * thick
    tone = (0.25 + 0.5 * person.skin) * gain
    outside = np.abs(x) - width
    full = person.lips * thick
    upper = np.maximum(np.abs(line + gap + 0.4 * full) - 0.45 * full, outside)
    lower = np.maximum(np.abs(line - gap - 0.55 * full) - 0.6 * full, outside)
    inside = np.maximum(np.abs(line) - gap - 0.006 * thick, outside)
    canvas.ramp(canvas.cover(upper), tone * 0.85, _LIPS)
    canvas.ramp(canvas.cover(lower), tone * (1.08 - 1.6 * np.clip(line, 0, 0.1)), _LIPS)
    canvas.paint(canvas.cover(inside), _MOUTH_INSIDE)
    if opened > 0.25:
        teeth = np.maximum(np.maximum(line - 0.008, -(line + gap)), np.abs(x) - width * 0.78)
        canvas.paint(canvas.cover(teeth), _EYE_WHITE * min(gain, 1.0) * 0.96)


def _hair_front(
    canvas: Canvas, person: _Person, x: FloatArray, y: FloatArray,
    light: tuple[float, float], gain: float, noise: FloatArray,
) -> None:  # fmt: skip
    shade = _hair_shade(person, x, y, light, gain)
    cap = ellipse(x, y + 0.06, person.width + 0.05, person.height + 0.02)
    if person.style == "bald":
        fringe = np.maximum(cap, -ellipse(x, y + 0.12, person.width - 0.02, 0.9))
        edge = np.maximum(fringe, np.abs(y + 0.12) - 0.2)
    elif person.style == "curly":
        line = y + 0.36 - 0.35 * x * x + 0.025 * np.sin(x * 38)
        edge = np.maximum(cap - 0.05 + 0.02 * noise, line)
        shade = np.clip(shade * (1 + 0.35 * noise), 0, 1)
    elif person.style == "short":
        line = y + 0.36 - 0.35 * x * x - 0.05 * np.sin(x * 5 + person.jaw * 20)
        sideburns = np.maximum(person.width * 0.9 - np.abs(x), y - 0.02)
        edge = np.maximum(cap, np.minimum(line, sideburns))
    else:
        # Parted hair: the forehead shows below a line that falls to both sides of the parting.
        parting = (person.eye_gap - 0.205) * 6
        fall = y + 0.5 - 1.7 * (x - parting) ** 2
        edge = np.maximum(cap, fall)
        sides = np.maximum(cap - 0.03, person.width * 0.86 - np.abs(x))
        reach = 0.5 if person.style in ("long", "bob") else -0.1
        edge = np.minimum(edge, np.maximum(sides, y - reach))
    canvas.ramp(canvas.cover(edge, 0.012), shade, _HAIR)
