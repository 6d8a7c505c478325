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
from tuning.launch import cells
from tuning.launch.cells import write_cell
from tuning.training.data import TaskData
from tuning.training.loop import EpochResult, FitConfig, fit
from tuning.training.metrics import constant_baseline, evaluate

MakeData = Callable[..., TaskData]


def trained(data: TaskData, model: str) -> tuple[FitConfig, EpochResult]:
    setup = FitConfig(model, "tanh", 1e-3, (1, 2), batch_size=4, image_size=64, seed=3)
    *_, result = fit(setup, data)
    return setup, result


def write(folder: Path, data: TaskData, setup: FitConfig, result: EpochResult) -> None:
    write_cell(
        folder,
        cell_id="tints-e2",
        training_id="tints",
        config=setup,
        history=result.state.history,
        metrics=result.record,
        model=result.state.model,
        data=data,
        device="cpu",
    )


@pytest.mark.parametrize(("model", "task"), [("cnn1", "regression"), ("autoencoder", "colorizer")])
def test_what_a_cell_tells(model: str, task: str, tmp_path: Path, make_data: MakeData) -> None:
    data = make_data(task)
    setup, result = trained(data, model)
    write(tmp_path / "cells" / "tints-e2", data, setup, result)

    (folder,) = (tmp_path / "cells").iterdir()  # nothing half-written beside it
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
    }
    told = {name: cell[name] for name in ("cell_id", "training_id", "task", "dataset", "device")}
    assert told == {
        "cell_id": "tints-e2",
        "training_id": "tints",
        "task": task,
        "dataset": "synthetic-tints",
        "device": "cpu",
    }
    assert cell["dataset_digest"] == data.digest
    assert cell["history"] == result.state.history
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

    def note(L: Any, predicted_a: Any, *_rest: Any) -> None:
        shown.append((L, predicted_a))

    monkeypatch.setattr(cells, "picture_sheet", note)
    data = make_data("colorizer", train=4, val=count)
    setup, result = trained(data, "autoencoder")
    write(tmp_path / "cell", data, setup, result)
    ((L, predicted_a),) = shown
    assert len(L) == len(predicted_a) == min(count, 6)
    assert (L[0] == data.val.L[0]).all()
    assert (L[-1] == data.val.L[-1]).all()  # spread over the whole set


def test_the_sheet_is_a_picture(tmp_path: Path, make_data: MakeData) -> None:
    data = make_data("colorizer")
    setup, result = trained(data, "autoencoder")
    write(tmp_path / "cell", data, setup, result)
    sheet = cv2.imread(str(tmp_path / "cell" / "sheet.png"))
    assert sheet is not None
    height, width = sheet.shape[:2]
    assert height >= 6 * 64
    assert width >= 3 * 64


def test_a_cell_that_fails_half_way_leaves_no_folder(
    tmp_path: Path, make_data: MakeData, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = make_data("colorizer")
    setup, result = trained(data, "autoencoder")

    def full_disk(*_args: Any) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr(cells, "picture_sheet", full_disk)
    with pytest.raises(OSError, match="no space"):
        write(tmp_path / "cell", data, setup, result)
    assert list(tmp_path.iterdir()) == []


def test_writing_a_cell_again_replaces_it(tmp_path: Path, make_data: MakeData) -> None:
    data = make_data("regression")
    setup, result = trained(data, "cnn1")
    folder = tmp_path / "cell"
    write(folder, data, setup, result)
    (folder / "leftover").touch()
    first = (folder / "model.safetensors").read_bytes()
    write(folder, data, setup, result)
    assert {item.name for item in folder.iterdir()} == {"cell.json", "model.safetensors"}
    assert (folder / "model.safetensors").read_bytes() == first


def test_arguments_of_the_model_are_told_where_there_are_any(
    tmp_path: Path, make_data: MakeData
) -> None:
    data = make_data("regression")
    setup = FitConfig(
        "fc", "relu", 1e-3, (1,), batch_size=4, image_size=64, model_kwargs={"hidden": (8, 4)}
    )
    *_, result = fit(setup, data)
    write(tmp_path / "cell", data, setup, result)
    cell = json.loads((tmp_path / "cell" / "cell.json").read_text())
    assert cell["params"]["model_kwargs"] == {"hidden": [8, 4]}
