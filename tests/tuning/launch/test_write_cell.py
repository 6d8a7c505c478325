"""A finished cell's folder: whole or not there, and true to the training."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import pytest
import torch

from models import load_model
from tuning.launch import write_cell as cells
from tuning.launch.records import read_cell
from tuning.launch.storage import LaunchStorage
from tuning.launch.trainings import make_training
from tuning.launch.write_cell import cut_cell, write_cell
from tuning.training.config import FitConfig
from tuning.training.data import TaskData
from tuning.training.loop import EpochResult, fit
from tuning.training.metrics import constant_baseline, evaluate

MakeData = Callable[..., TaskData]


def trained(data: TaskData, model: str) -> tuple[FitConfig, EpochResult]:
    kwargs = {"hidden": (8, 4)} if model == "fc" else {}
    setup = FitConfig(
        *(model, "tanh", 1e-3, (1, 2)), batch_size=4, image_size=64, seed=3, model_kwargs=kwargs
    )
    *_, result = fit(setup, data)
    return setup, result


def write(root: Path, data: TaskData, setup: FitConfig, result: EpochResult) -> Path:
    """Write the training's last cell into the launch folder `root`; return the cell's folder."""
    training = make_training(setup)
    cell_id = write_cell(LaunchStorage(root), training, result.state, data)
    return root / training.training_id / "cells" / cell_id


@pytest.mark.parametrize(("model", "task"), [("fc", "regression"), ("autoencoder", "colorizer")])
def test_what_a_cell_holds(model: str, task: str, tmp_path: Path, make_data: MakeData) -> None:
    data = make_data(task)
    setup, result = trained(data, model)
    folder = write(tmp_path, data, setup, result)
    (only,) = folder.parent.iterdir()  # nothing half-written beside it
    assert only == folder
    sheet = {"sheet.png"} if task == "colorizer" else set()
    assert {item.name for item in folder.iterdir()} == {"cell.json", "model.safetensors"} | sheet
    cell: dict[str, Any] = json.loads((folder / "cell.json").read_text())
    assert cell["params"] == {
        "model": model,
        "head": "tanh",
        "lr": 1e-3,
        "epochs": 2,
        "batch_size": 4,
        "weight_decay": 1e-5,
        "seed": 3,
        "image_size": 64,
        **({"model_kwargs": {"hidden": [8, 4]}} if model == "fc" else {}),
    }
    named = {name: cell[name] for name in ("cell_id", "training_id", "task", "dataset", "device")}
    assert named == {
        "cell_id": f"{model}-tanh-lr1e-3-e2",
        "training_id": f"{model}-tanh-lr1e-3",
        "task": task,
        "dataset": "synthetic-tints",
        "device": "cpu",
    }
    if sheet:
        height, width = cv2.imread(str(folder / "sheet.png")).shape[:2]
        assert min(height / 6, width / 3) >= 64
    assert cell["dataset_digest"] == data.digest
    known = zip(result.state.history, cell["history"], strict=True)
    assert all(record.items() <= written.items() for record, written in known)
    assert cell["metrics"].items() <= cell["history"][-1].items()
    baseline = constant_baseline(data.val, data.baseline_ab, task)
    assert cell["metrics"].keys() == baseline.keys() | {"train_loss"}
    assert cell["seconds"] == sum(record["seconds"] for record in cell["history"])
    assert cell["started"] <= cell["history"][0]["timestamp"] <= cell["ended"]

    model_again = load_model(folder / "model.safetensors")
    assert sum(p.numel() for p in model_again.parameters()) == cell["parameters"]
    measured = evaluate(
        model_again.to(memory_format=torch.channels_last), data.val, task, batch_size=4
    )
    assert {**measured, "train_loss": result.record["train_loss"]} == pytest.approx(cell["metrics"])


@pytest.mark.parametrize("count", [1, 4, 40])
def test_the_sheet_shows_up_to_six_pictures_of_val(
    count: int, tmp_path: Path, make_data: MakeData, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown: list[Any] = []

    def note(L: Any, predicted_a: Any, *rest: Any) -> None:
        shown.append((L, predicted_a))
        rest[3].write_bytes(b"a sheet")

    monkeypatch.setattr(cells, "picture_sheet", note)
    data = make_data("colorizer", train=4, val=count)
    setup, result = trained(data, "autoencoder")
    write(tmp_path, data, setup, result)
    ((L, predicted_a),) = shown
    assert len(L) == len(predicted_a) == min(count, 6)
    assert (L[0] == data.val.L[0]).all()
    assert (L[-1] == data.val.L[-1]).all()  # spread over the whole set


def test_a_cell_that_fails_half_way_leaves_no_folder(
    tmp_path: Path, make_data: MakeData, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = make_data("colorizer")
    setup, result = trained(data, "autoencoder")

    def full_disk(*_args: Any) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr(cells, "picture_sheet", full_disk)
    with pytest.raises(OSError, match="no space"):
        write(tmp_path, data, setup, result)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("ended", ["finished", "pruned"])
def test_a_stopped_cell_is_replaced_and_one_that_has_ended_stays(
    ended: str, tmp_path: Path, make_data: MakeData
) -> None:
    data = make_data("regression")
    setup, result = trained(data, "cnn1")
    storage, training = LaunchStorage(tmp_path), make_training(setup)
    for outcome in ("stopped", ended, "stopped"):
        cell_id = write_cell(storage, training, result.state, data, outcome=outcome)
    record = read_cell(storage, training.training_id, cell_id)
    assert record is not None
    assert record.outcome == ended


def test_a_cut_cell_is_of_the_newest_whole_checkpoint_and_knows_later_epochs(
    tmp_path: Path, make_data: MakeData
) -> None:
    data = make_data("regression")
    setup = FitConfig("cnn1", "tanh", 1e-3, (6,), batch_size=4, image_size=64, keep="best")
    storage, training = LaunchStorage(tmp_path), make_training(setup)
    assert not cut_cell(storage, training, data, "pruned")
    for result in fit(setup, data):
        epoch = result.state.epoch
        if epoch in (2, 3, 4):
            result.state.save(tmp_path / training.training_id / f"checkpoint_{epoch:06}")
    history = result.state.history
    (tmp_path / training.training_id / "checkpoint_000004/state.json").unlink()
    damaged = tmp_path / training.training_id / "checkpoint_000003"
    next(damaged.glob("model-*")).write_bytes(b"short")
    assert cut_cell(storage, training, data, "pruned", history=history[:5])
    record = read_cell(storage, training.training_id, training.cells[0].cell_id)
    assert record is not None
    assert record.outcome == "pruned"
    assert record.history == history[:5]
    best = min(history[:2], key=lambda epoch: float(epoch["val_mse"]))
    assert record.kept_epoch == best["epoch"]
    assert record.values == {
        **record.metrics,
        "parameters": float(record.parameters),
        "train_seconds": record.seconds,
    }
    assert record.metrics["val_mse"] == best["val_mse"]
