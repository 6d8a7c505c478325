"""The prepared arrays as folders of PNG files, for looking at."""

from __future__ import annotations

from pathlib import Path

import cv2

from data_prep.color import lab_to_rgb
from data_prep.manifest import PLANES
from data_prep.parallel import Progress, map_threads
from data_prep.split import SIDES, Side
from data_prep.store import PreparedDataset

IMAGES_FOLDER = "images"


def export_pictures(
    dataset: PreparedDataset, folder: Path, progress: Progress | None = None
) -> None:
    """Write `<split>/{L,a,b,rgb}/00000-03.png`: picture 0 of the split, its copy 3.

    The planes are grayscale PNGs of the stored bytes; `rgb` holds the pictures (for train, the
    augmented copies) converted back from Lab.
    """
    for side in SIDES:
        for kind in (*PLANES, "rgb"):
            (folder / side / kind).mkdir(parents=True)
    planes = {side: dataset.planes(side) for side in SIDES}

    def write(task: tuple[Side, int]) -> None:
        side, row = task
        factor = dataset.manifest.settings.augment if side == "train" else 1
        name = f"{row // factor:05d}-{row % factor:02d}.png"
        L, a, b = (getattr(planes[side], plane)[row] for plane in PLANES)
        bgr = cv2.cvtColor(lab_to_rgb(L, a, b), cv2.COLOR_RGB2BGR)
        for kind, picture in zip((*PLANES, "rgb"), (L, a, b, bgr), strict=True):
            (folder / side / kind / name).write_bytes(cv2.imencode(".png", picture)[1].tobytes())

    rows = [(side, row) for side in SIDES for row in range(len(planes[side].L))]
    map_threads(write, rows, "export", progress)
