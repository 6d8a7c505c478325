"""Small images, and zips of them."""

from __future__ import annotations

import io
import zipfile

import numpy as np
from PIL import Image


def saved(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def colourful(seed: int, width: int = 24, height: int = 24, cells: int = 4) -> Image.Image:
    """Return a smooth random colour image, different for every seed."""
    coarse = np.random.RandomState(seed).randint(0, 256, (cells, cells, 3)).astype(np.uint8)
    return Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)


def make_png(seed: int, width: int = 24, height: int = 24) -> bytes:
    return saved(colourful(seed, width, height))


def zipped(files: dict[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return stream.getvalue()
