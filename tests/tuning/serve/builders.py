"""Small networks, model cards and image files, and a wait with a deadline."""

from __future__ import annotations

import functools
import io
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from PIL import Image

from models import ChromaModel, create_model
from tuning.tracking.registry.catalog import ModelCard

PATIENCE_S = 120
TOKEN = "correct-horse-battery"


@functools.cache
def painter(name: str, a: float, b: float, size: int = 64) -> ChromaModel:
    """A small network that predicts a and b in [0, 1] everywhere; made once, for all requests."""
    model = create_model(name, image_size=size).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
        list(model.parameters())[-1].copy_(torch.tensor([a, b]))
    return model


def card(dataset: str, version: int, task: str = "colorizer", champion: bool = True) -> ModelCard:
    name = f"{dataset}-{task}"
    aliases = ("champion",) if champion else ()
    scores = {"test_psnr": 30.0 + version, "test_ssim": 0.9}
    return ModelCard(f"models:/{name}/{version}", name, version, dataset, task, aliases, scores)


def photo(width: int = 40, height: int = 30, kind: str = "PNG", *, gray: bool = False) -> bytes:
    """The file of a smooth coloured picture, or of the same without colour."""
    coarse = np.random.RandomState(0).randint(60, 200, (3, 3, 3)).astype(np.uint8)
    image = Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)
    stream = io.BytesIO()
    (image.convert("L") if gray else image).save(stream, kind)
    return stream.getvalue()


def pixels(png: bytes) -> Any:
    with Image.open(io.BytesIO(png)) as image:
        assert (image.format, image.mode) == ("PNG", "RGB")
        return np.asarray(image)


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)
