"""The recorded learning curves: every point of two factorial spaces, trained with three seeds."""

from __future__ import annotations

import dataclasses
import itertools
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

FOLDER = Path(__file__).parent / "recorded"
EPOCHS = 27
SEEDS = 3
IMAGE_SIZE = 64

Point = dict[str, Any]

# What every point shares: the task is the colorizer.
COMMON: Mapping[str, Any] = {"image_size": IMAGE_SIZE, "shuffle": True, "flip": True}
# Every second picture, about 300, so that a space is recorded in a few hours.
PICTURES = slice(None, None, 2)
# Choices are ordered where their values are.
SPACES: Mapping[str, Mapping[str, Sequence[Any]]] = {
    "recipe": {
        "model": ["autoencoder"],
        "lr": [1e-4, 3e-4, 1e-3, 3e-3, 1e-2],
        "head": ["tanh", "relu"],
        "schedule": ["constant", "cosine", "onecycle"],
        "ema": [0.0, 0.99],
        "batch_size": [8, 16, 32],
    },
    "networks": {
        "model": ["autoencoder", "unet"],
        "lr": [3e-4, 1e-3, 3e-3, 1e-2],
        "head": ["tanh"],
        "schedule": ["constant", "onecycle"],
        "ema": [0.0, 0.99],
        "batch_size": [16, 32],
    },
}
# A U-Net of this width takes about three times as long as the autoencoder.
MODEL_KWARGS = {"autoencoder": {}, "unet": {"width": 16}}


def points(space: str) -> list[Point]:
    """All points of a space, in the order of the recorded curves."""
    choices = SPACES[space]
    return [
        dict(zip(choices, values, strict=True)) for values in itertools.product(*choices.values())
    ]


@dataclasses.dataclass
class Curves:
    """What was recorded of one space on one dataset.

    `psnr` (points, seeds, epochs) is the validation PSNR in dB after each epoch, NaN where nothing
    is recorded yet; a training that diverged has 0 dB from there on, and 0 s after that epoch.
    `seconds`, likewise, is the processor time of each epoch with its validation, of one thread.
    """

    path: Path
    psnr: NDArray[np.float32]
    seconds: NDArray[np.float32]
    about: dict[str, Any]

    @classmethod
    def open(cls, dataset: str, space: str) -> Self:
        """Open the file of a space, or begin an empty one.

        Raises ValueError if it was recorded of other points.
        """
        path = FOLDER / f"{dataset}-{space}.npz"
        if not path.exists():
            shape = (len(points(space)), SEEDS, EPOCHS)
            empty = np.full(shape, np.nan, np.float32)
            about = {"space": SPACES[space], "common": COMMON}
            return cls(path, empty, empty.copy(), json.loads(json.dumps(about)))
        with np.load(path, allow_pickle=False) as file:
            found = cls(path, file["psnr"], file["seconds"], json.loads(str(file["about"])))
        if found.about["space"] != SPACES[space] or found.about["common"] != COMMON:
            raise ValueError(f"{path} was recorded of another space: remove it to record it anew")
        return found

    @classmethod
    def whole(cls, dataset: str, space: str) -> Self:
        """Open the file with the seeds alone that all points were trained with."""
        found = cls.open(dataset, space)
        seeds = ~np.isnan(found.psnr[:, :, -1]).any(axis=0)
        return dataclasses.replace(
            found, psnr=found.psnr[:, seeds], seconds=found.seconds[:, seeds]
        )

    def save(self) -> None:
        """Write the file atomically."""
        self.path.parent.mkdir(exist_ok=True)
        scratch = self.path.with_suffix(".tmp")
        with scratch.open("wb") as file:
            np.savez_compressed(
                file, psnr=self.psnr, seconds=self.seconds, about=json.dumps(self.about)
            )
        scratch.replace(self.path)

    @property
    def missing(self) -> list[tuple[int, int]]:
        """Point and seed of every training that is not recorded, all points of a seed together."""
        rows = np.argwhere(np.isnan(self.psnr[:, :, -1]))
        return sorted(
            ((int(point), int(seed)) for point, seed in rows), key=lambda pair: pair[::-1]
        )
