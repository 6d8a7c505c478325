"""The same training timed on the CPU and on a GPU, as Section VI of the original paper did."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from typing import Literal

import torch

from tuning.training.config import FitConfig
from tuning.training.data import TaskData
from tuning.training.loop import fit
from tuning.utils import provenance

MODEL, HEAD, LR, EPOCHS = "cnn2", "relu", 2e-3, 30
TASK = "regression"

Device = Literal["cpu", "gpu"]


@dataclasses.dataclass(frozen=True)
class Half:
    """One device's half of the comparison; `epoch_seconds` are of training alone, in order."""

    device: Device
    hardware: str
    epoch_seconds: tuple[float, ...]

    @property
    def seconds(self) -> float:
        return math.fsum(self.epoch_seconds)


def speedup_training(image_size: int, epochs: int = EPOCHS, seed: int = 0) -> FitConfig:
    """The published training: CNN2 at a learning rate of 2e-3, validated only at its ends."""
    return FitConfig(
        model=MODEL,
        head=HEAD,
        lr=LR,
        milestones=(epochs,),
        seed=seed,
        eval_every=epochs,
        image_size=image_size,
    )


def devices() -> tuple[Device, ...]:
    """What can be measured here."""
    return ("cpu", "gpu") if torch.cuda.is_available() else ("cpu",)


def measure(
    config: FitConfig, data: TaskData, device: Device, progress: Callable[[int], None]
) -> Half:
    """Train on a device and time its epochs; `progress` is called with each epoch that has ended.

    The first epoch counts, as in the original paper, with all that a device needs to warm up.
    """
    seconds = []
    for result in fit(config, data, device="cuda" if device == "gpu" else "cpu"):
        seconds.append(result.record["seconds"])
        progress(result.record["epoch"])
    return Half(device, _hardware(device), tuple(seconds))


def _hardware(device: Device) -> str:
    if device == "gpu":
        return torch.cuda.get_device_name()
    return f"{provenance.hardware()['processor']}, {torch.get_num_threads()} threads"
