"""The comparison of CPU and GPU: the published training, and its time."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from tests.tuning.training.builders import MakeData
from tuning.training import speedup
from tuning.training.speedup import devices, measure, speedup_training


def test_the_published_training_is_timed_epoch_by_epoch(make_data: MakeData) -> None:
    config = speedup_training(64, epochs=3)
    assert (config.model, config.head, config.lr) == ("cnn2", "relu", 2e-3)
    assert (config.batch_size, config.weight_decay) == (100, 1e-5)
    told: list[int] = []
    half = measure(config, make_data("regression"), "cpu", told.append)
    assert told == [1, 2, 3]
    assert len(half.epoch_seconds) == 3
    assert all(seconds > 0 for seconds in half.epoch_seconds)
    assert half.seconds == pytest.approx(sum(half.epoch_seconds))
    assert half.hardware.endswith(f"{torch.get_num_threads()} threads")


def test_the_gpu_half_is_trained_on_a_gpu_if_there_is_one(
    make_data: MakeData, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def fit(*_: Any, device: str) -> Iterator[Any]:
        asked.append(device)
        yield SimpleNamespace(record={"seconds": 0.25, "epoch": 1})

    monkeypatch.setattr(speedup, "fit", fit)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "a GPU")
    half = measure(speedup_training(64), make_data("regression"), "gpu", lambda _: None)
    assert (asked, half.hardware, half.seconds) == (["cuda"], "a GPU", 0.25)
    for there, found in ((True, ("cpu", "gpu")), (False, ("cpu",))):
        monkeypatch.setattr(torch.cuda, "is_available", lambda there=there: there)
        assert devices() == found
