"""What a finished cell of a grid leaves behind: its numbers, its model, a sheet of pictures."""

from __future__ import annotations

import json
import os
import shutil
import socket
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from models import ChromaModel, save_model
from tuning.display.pictures import picture_sheet
from tuning.training.checkpoint import EpochRecord
from tuning.training.config import FitConfig
from tuning.training.data import DeviceSplit, Split, TaskData
from tuning.training.metrics import predict, to_bytes

_SHEET_ROWS = 6


def write_cell(
    folder: Path,
    *,
    cell_id: str,
    training_id: str,
    config: FitConfig,
    history: Sequence[EpochRecord],
    metrics: Mapping[str, Any],
    model: ChromaModel,
    data: TaskData,
    device: str | torch.device,
    outcome: str | None = None,
) -> None:
    """Write `cell.json`, `model.safetensors` and, for a colorizer, `sheet.png` into `folder`.

    The folder appears whole or not at all; one that is there already is replaced. `history` ends
    with the cell's own epoch, and `metrics` is that epoch's record or, of a training that keeps its
    best state, an earlier one's; those of val and the training loss are kept of it.
    `outcome` says how a search's trial ended.
    """
    folder = Path(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    scratch = folder.with_name(f".{folder.name}.{os.getpid()}.tmp")
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir()
    try:
        save_model(model, scratch / "model.safetensors")
        if data.task == "colorizer":
            _draw_sheet(model, data.val, torch.device(device), scratch / "sheet.png")
        cell = {
            "cell_id": cell_id,
            "training_id": training_id,
            "task": data.task,
            "dataset": data.dataset,
            "dataset_digest": data.digest,
            "params": _params(config, epochs=history[-1]["epoch"]),
            "metrics": _kept(metrics),
            **({"outcome": outcome} if outcome else {}),
            "parameters": sum(parameter.numel() for parameter in model.parameters()),
            "history": list(history),
            "kept_epoch": metrics["epoch"],
            "seconds": sum(record["seconds"] for record in history),
            "started": history[0]["timestamp"] - round(history[0]["seconds"] * 1000),
            "ended": history[-1]["timestamp"],
            "device": _device_name(torch.device(device)),
            "hostname": socket.gethostname(),
        }
        (scratch / "cell.json").write_text(json.dumps(cell, indent=1, allow_nan=False))
        if folder.exists():
            shutil.rmtree(folder)
        scratch.replace(folder)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _params(config: FitConfig, epochs: int) -> dict[str, Any]:
    params = {**config.identity(), "epochs": epochs}
    kwargs = params.pop("model_kwargs")
    return params | ({"model_kwargs": kwargs} if kwargs else {})


def _kept(metrics: Mapping[str, Any]) -> dict[str, float]:
    return {
        name: float(value)
        for name, value in metrics.items()
        if name.startswith("val_") or name == "train_loss"
    }


def _draw_sheet(model: ChromaModel, val: Split, device: torch.device, path: Path) -> None:
    # Spread over the set, since neighbours show the same person or the same kind of fruit.
    rows = np.unique(np.linspace(0, len(val) - 1, _SHEET_ROWS).round().astype(int))
    true_a, true_b = val.planes
    shown = Split(val.L[rows], true_a[rows], true_b[rows], val.mean_ab[rows])
    planes = to_bytes(predict(model, DeviceSplit(shown, "means", device)))
    predicted_a, predicted_b = planes[:, 0], planes[:, 1]
    titles = [f"val picture {row}" for row in rows]
    picture_sheet(shown.L, predicted_a, predicted_b, *shown.planes, path, titles)


def _device_name(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else str(device)
