"""Small pictures for the tests of data_prep."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

MakePicture = Callable[..., bytes]


def encode(pixels: np.ndarray, kind: str = "PNG", **options: object) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, kind, **options)
    return stream.getvalue()


def colourful(seed: int, height: int = 24, width: int = 24) -> np.ndarray:
    """Return a smooth random colour picture, different for every seed."""
    random = np.random.RandomState(seed)
    coarse = random.randint(0, 256, (4, 4, 3)).astype(np.uint8)
    return np.asarray(Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC))


@pytest.fixture
def make_png() -> MakePicture:
    def make(seed: int, height: int = 24, width: int = 24) -> bytes:
        return encode(colourful(seed, height, width))

    return make


@pytest.fixture
def folder_of(tmp_path: Path) -> Callable[[dict[str, bytes]], Path]:
    """Write files by relative name into a new folder."""

    def write(files: dict[str, bytes], name: str = "source") -> Path:
        folder = tmp_path / name
        for relative, data in files.items():
            (folder / relative).parent.mkdir(parents=True, exist_ok=True)
            (folder / relative).write_bytes(data)
        return folder

    return write


@pytest.fixture
def zip_of(tmp_path: Path) -> Callable[[dict[str, bytes]], Path]:
    """Write files by relative name into a new zip."""

    def write(files: dict[str, bytes], name: str = "source.zip") -> Path:
        with zipfile.ZipFile(tmp_path / name, "w") as archive:
            for relative, data in files.items():
                archive.writestr(relative, data)
        return tmp_path / name

    return write
