"""Small trainings, and comparisons of their states."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from tuning.training.checkpoint import TrainState
from tuning.training.config import FitConfig
from tuning.training.data import TaskData
from tuning.training.loop import EpochResult, fit

MakeData = Callable[..., TaskData]
UNET: dict[str, Any] = {"width": 8, "depth": 1}
EVERY_OPTION: dict[str, Any] = {
    "loss": "huber",
    "mean_weight": 0.5,
    "optimizer": "adamw",
    "schedule": "onecycle",
    "warmup": 0.3,
    "precision": "bfloat16",
    "ema": 0.9,
    "flip_average": True,
    "shuffle": True,
    "flip": True,
    "zoom": 0.7,
    "shift": 0.1,
    "rotate": 15.0,
    "keep": "best",
    "patience": 3,
}


def config(model: str = "cnn1", *milestones: int, **changes: Any) -> FitConfig:
    settings: dict[str, Any] = {"head": "tanh", "lr": 1e-3, "batch_size": 4, "image_size": 64}
    if model.startswith("unet"):
        settings["model_kwargs"] = UNET
    return FitConfig(model=model, milestones=milestones or (2,), **{**settings, **changes})


def trained(config: FitConfig, data: TaskData, **more: Any) -> EpochResult:
    *_, result = fit(config, data, **more)
    return result


def everything(state: TrainState) -> dict[str, Tensor]:
    """A copy of weights, BatchNorm statistics, averages, Adam's moments and counts, generators."""
    tensors = dict(state.model.state_dict()) | {f"rng {d}": rng for d, rng in state.rng.items()}
    for name, parameter in state.model.named_parameters():
        for key, value in state.optimizer.state[parameter].items():
            tensors[f"adam {key} {name}"] = value
    averaged = state.averaged.state_dict() if state.averaged else {}
    for kind, weights in (("averaged", averaged), ("best", state.best or {})):
        tensors |= {f"{kind} {name}": tensor for name, tensor in weights.items()}
    return {name: tensor.clone() for name, tensor in tensors.items()}


def assert_same_bits(first: Mapping[str, Tensor], second: Mapping[str, Tensor]) -> None:
    assert first.keys() == second.keys()
    for name, tensor in first.items():
        assert torch.equal(tensor, second[name]), name


def untimed(record: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in record.items() if name not in ("seconds", "timestamp")}
