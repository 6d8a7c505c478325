"""Procedural faces: colour follows from what a part is and how light it is."""

from __future__ import annotations

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

_SKIN = ramp("0.0 160a08, 0.2 4e2a1b, 0.4 8c543a, 0.6 c78967, 0.8 eebfa0, 1.0 ffeee0")
_BLUSH = ramp("0.0 1e0608, 0.2 5c221c, 0.4 a4483c, 0.6 de7666, 0.8 f8ac9c, 1.0 ffe2d8")
_LIPS = ramp("0.0 1e0408, 0.25 6c1e22, 0.5 ba4a4a, 0.75 e4807a, 1.0 ffc8c2")
_HAIR = ramp("0.0 0e0b0d, 0.15 2a1c17, 0.35 683c1f, 0.55 b0783a, 0.8 e8c684, 1.0 fcf0ce")
_IRIS = ramp("0.0 140c08, 0.3 5c381c, 0.5 5c7c4a, 0.8 78aad0")
_WALL = ramp("0.0 1a120e, 0.3 62422e, 0.5 76807c, 0.75 9cbece, 1.0 e8f2f8")
_ROUND_COLLAR = ramp("0.0 0e1228, 0.4 284e92, 0.8 8cbae2")
_V_NECK = ramp("0.0 240812, 0.4 942636, 0.8 e88e88")

_EYE_WHITE = np.array((240, 236, 230), dtype=np.float32)
_INK = np.array((24, 16, 16), dtype=np.float32)
_MOUTH_INSIDE = np.array((70, 18, 22), dtype=np.float32)

_HAIR_STYLES = ("short", "long", "curly", "bald", "bob", "bun")


class _Person:
    """What stays the same in all pictures of a subject."""

    def __init__(self, seed: int, subject: int) -> None:
        draw = [float(value) for value in random_state("person", seed, subject).uniform(0, 1, 15)]
        self.style = _HAIR_STYLES[int(draw[2] * len(_HAIR_STYLES))]
        self.skin = mix(0.34, 0.9, draw[0])
        self.hair = mix(0.05, 0.75, draw[1] ** 1.6) * (0.45 if self.skin < 0.5 else 1.0)
        self.width = mix(0.43, 0.52, draw[3])
        self.height = mix(0.58, 0.66, draw[4])
        self.jaw = mix(0.05, 0.32, draw[5])
        self.iris = mix(0.1, 0.8, draw[6]) * (0.45 if self.skin < 0.55 else 1.0)
        self.eye_gap = mix(0.185, 0.225, draw[7])
        self.brow = mix(0.018, 0.034, draw[8])
        self.nose = mix(0.05, 0.085, draw[9])
        self.lips = mix(0.035, 0.062, draw[10])
        self.glasses = draw[11] < 0.25
        self.beard = self.style in ("short", "bald", "curly") and draw[12] < 0.45
        self.v_neck = draw[13] < 0.5
        self.shirt = mix(0.2, 0.75, draw[14])


@dataclass(frozen=True)
class _Scene:
    """A person on a canvas, with the coordinates of the head and the light on it."""

    canvas: Canvas
    person: _Person
    x: FloatArray
    y: FloatArray
    light: tuple[float, float]
    gain: float


def draw_face(seed: int, subject: int, number: int, size: int) -> UInt8Array:
    """Draw picture `number` of a subject: sRGB (size,size,3) uint8, the same for the same seed."""
    person = _Person(seed, subject)
    random = random_state("face", seed, subject, number)
    canvas = Canvas(size)
    light = (float(random.uniform(-0.65, 0.65)), float(random.uniform(-0.6, -0.1)))
    gain = float(random.uniform(0.82, 1.12))
    _wall(canvas, random, light)
    turn = float(random.uniform(-0.2, 0.2))
    cx, cy = float(random.uniform(-0.09, 0.09)), float(random.uniform(-0.02, 0.1))
    scale = float(random.uniform(0.93, 1.1))
    x, y = canvas.local(cx, cy, scale, turn)
    scene = _Scene(canvas, person, x, y, light, gain)
    look = float(random.uniform(-0.06, 0.06))

    _hair_behind(scene)
    _shoulders(scene)
    _head(scene)
    _eyes(scene, look, squint=float(random.uniform(0.75, 1.05)))
    _nose(scene)
    _mouth(scene, float(random.uniform(0.05, 1.0)), float(random.uniform(-0.6, 1.0)))
    _hair_front(scene, canvas.noise(random, 24))
    return canvas.finish(random, grain=3.5)


def _wall(canvas: Canvas, random: np.random.RandomState, light: tuple[float, float]) -> None:
    base = float(random.uniform(0.2, 0.85))
    shade = base + 0.12 * (canvas.x * light[0] - canvas.y * 0.6)
    shade = shade + 0.03 * canvas.noise(random, 5)
    if random.uniform() < 0.35:
        # Shelves: upright spines, each a little lighter or darker than its neighbour.
        spines = random.uniform(-0.16, 0.16, 14).astype(np.float32)
        shade = shade + spines[np.clip(((canvas.x + 1) * 7).astype(int), 0, 13)]
    canvas.ramp(np.ones_like(canvas.x), np.clip(shade, 0, 1), _WALL)


def _hair_shade(scene: _Scene) -> FloatArray:
    x, y = scene.x, scene.y
    glow = lit(np.clip(x / 0.8, -1, 1), np.clip(y / 0.9, -1, 1), scene.light, 0.5, 0.18)
    strands = 0.05 * np.sin(x * 55 + 6 * np.sin(y * 4))
    bright = (scene.person.hair * (0.55 + 0.6 * glow) + strands * glow) * scene.gain
    shade: FloatArray = np.clip(bright, 0, 1)
    return shade


def _hair_behind(scene: _Scene) -> None:
    canvas, person, x, y = scene.canvas, scene.person, scene.x, scene.y
    shade = _hair_shade(scene) * 0.75
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


def _shoulders(scene: _Scene) -> None:
    canvas, person, x, y = scene.canvas, scene.person, scene.x, scene.y
    neck = np.maximum(np.abs(x) - 0.22, 0.3 - y)
    shade = lit(np.clip(x / 0.3, -1, 1), np.zeros_like(x), scene.light, 0.5, 0.0)
    canvas.ramp(canvas.cover(neck), np.clip(person.skin * shade * 0.78 * scene.gain, 0, 1), _SKIN)
    body = ellipse(x, y - 1.35, 0.95, 0.66)
    ramp = _V_NECK if person.v_neck else _ROUND_COLLAR
    hole = ellipse(x, y - 0.66, 0.26, 0.2)
    if person.v_neck:
        hole = (np.abs(x) * 1.5 - (0.98 - y)) * 0.6
    cloth = lit(np.clip(x, -1, 1), np.clip((y - 1.2) / 0.8, -1, 1), scene.light, 0.45, 0.0)
    canvas.ramp(canvas.cover(np.maximum(body, -hole)), person.shirt * cloth * scene.gain, ramp)


def _head(scene: _Scene) -> None:
    canvas, person, x, y = scene.canvas, scene.person, scene.x, scene.y
    for side in (-1, 1):
        ear = ellipse(x - side * (person.width + 0.01), y - 0.02, 0.07, 0.12)
        canvas.ramp(canvas.cover(ear), person.skin * 0.82 * scene.gain, _BLUSH)
    narrowed = 1 - person.jaw * np.clip(y / person.height, 0, 1) ** 1.5
    edge = ellipse(x / narrowed, y, person.width, person.height)
    mask = canvas.cover(edge)
    glow = lit(x / (person.width * 1.12), y / (person.height * 1.12), scene.light, 0.52, 0.05)
    shade = np.clip(person.skin * (0.28 + 0.82 * glow) * scene.gain, 0, 1)
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


def _eyes(scene: _Scene, look: float, squint: float) -> None:
    canvas, person, x, y = scene.canvas, scene.person, scene.x, scene.y
    for side in (-1, 1):
        ex, ey = x - side * person.eye_gap, y + 0.06
        almond = ellipse(ex, ey + 0.25 * ex * ex, 0.105, 0.052 * squint)
        white = canvas.cover(almond)
        canvas.paint(white, _EYE_WHITE * min(scene.gain, 1.0) * (0.72 + 0.28 * person.skin))
        iris = np.hypot(ex - look, ey) - 0.048
        ring = canvas.cover(iris) * white
        canvas.ramp(ring, person.iris * (1.1 - 2.5 * np.clip(-ey, 0, 0.1)) * scene.gain, _IRIS)
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


def _nose(scene: _Scene) -> None:
    canvas, person, x, y = scene.canvas, scene.person, scene.x, scene.y
    away = -1 if scene.light[0] > 0 else 1
    side_shadow = stroke(x, y, (away * 0.025, -0.02), (away * person.nose, 0.14), 0.012)
    canvas.darken(canvas.cover(side_shadow, 0.05), 0.28)
    under = ellipse(x, y - 0.168, person.nose * 1.15, 0.022)
    canvas.darken(canvas.cover(under, 0.03), 0.3)
    ridge = np.exp(-((x / 0.022) ** 2) - ((y - 0.11) / 0.05) ** 2)
    canvas.rgb += 26 * ridge[..., None]
    for side in (-1, 1):
        nostril = ellipse(x - side * person.nose * 0.55, y - 0.163, 0.019, 0.012)
        canvas.darken(canvas.cover(nostril), 0.6)


def _mouth(scene: _Scene, smile: float, opened: float) -> None:
    canvas, person, x, y = scene.canvas, scene.person, scene.x, scene.y
    width = mix(0.135, 0.2, max(smile, 0.0))
    line = y - 0.325 - 0.02 * smile + smile * 2.2 * x * x
    thick = np.sqrt(np.clip(1 - (x / width) ** 2, 0, 1))
    gap = max(0.0, opened) * 0.045 * thick
    tone = (0.25 + 0.5 * person.skin) * scene.gain
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
        canvas.paint(canvas.cover(teeth), _EYE_WHITE * min(scene.gain, 1.0) * 0.96)


def _hair_front(scene: _Scene, noise: FloatArray) -> None:
    canvas, person, x, y = scene.canvas, scene.person, scene.x, scene.y
    shade = _hair_shade(scene)
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
