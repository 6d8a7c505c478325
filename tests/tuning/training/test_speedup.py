"""The comparison of CPU and GPU: the published training, its time, halves that are missing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from tuning.training import speedup
from tuning.training.data import TaskData
from tuning.training.speedup import devices, measure, speedup_training

MakeData = Callable[..., TaskData]


def test_the_training_is_the_reports() -> None:
    config = speedup_training(128)
    assert (config.model, config.head, config.lr, config.epochs) == ("cnn2", "relu", 2e-3, 30)
    assert (config.batch_size, config.weight_decay) == (100, 1e-5)


def test_epochs_are_timed_one_by_one(make_data: MakeData) -> None:
    told: list[int] = []
    half = measure(speedup_training(64, epochs=3), make_data("regression"), "cpu", told.append)
    assert told == [1, 2, 3]
    assert len(half.epoch_seconds) == 3
    assert all(seconds > 0 for seconds in half.epoch_seconds)
    assert half.seconds == pytest.approx(sum(half.epoch_seconds))
    assert half.hardware.endswith(f"{torch.get_num_threads()} threads")


def test_the_gpu_half_is_trained_on_the_gpu(
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


@pytest.mark.parametrize(("there", "found"), [(True, ("cpu", "gpu")), (False, ("cpu",))])
def test_what_is_not_there_is_not_measured(
    monkeypatch: pytest.MonkeyPatch, there: bool, found: tuple[str, ...]
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: there)
    assert devices() == found
