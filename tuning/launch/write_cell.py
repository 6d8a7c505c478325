"""Writing a cell: its record, its model, and a sheet of images."""

from __future__ import annotations

import socket
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from models import ChromaModel, save_model
from tuning.display.pictures import picture_sheet
from tuning.launch.checkpoint_choice import newest_first, newest_state
from tuning.launch.records import CELL_FORMAT, FINAL, CellRecord, cell_folder, read_cell
from tuning.launch.storage import LaunchStorage
from tuning.launch.trainings import Training
from tuning.training.checkpoint import EpochRecord, TrainState
from tuning.training.config import FitConfig
from tuning.training.data import DeviceSplit, Split, TaskData
from tuning.training.metrics import evaluate, predict, to_bytes
from tuning.training.tasks import CRITERIA, metric_names

_SHEET_ROWS = 6


def write_cell(
    storage: LaunchStorage,
    training: Training,
    state: TrainState,
    data: TaskData,
    *,
    outcome: str = "finished",
    history: Sequence[EpochRecord] | None = None,
    device: str | torch.device = "cpu",
) -> str:
    """Write the weights that `state` keeps as the cell of its epoch; return the cell's id.

    The folder gets `model.safetensors`, for a colorizer `sheet.png`, and last `cell.json`, so that
    a reader of the record finds the rest. `history` may go beyond the state's own. What validations
    leave out is measured of a finished cell. A cell that has ended already is left as it is: MLflow
    may hold it.
    """
    history = state.history if history is None else history
    cell = training.cell_at(state.epoch)
    known = read_cell(storage, training.training_id, cell.cell_id)
    if known is not None and known.outcome in FINAL:
        return cell.cell_id
    model, validated = state.kept()
    kept = validated
    if outcome == "finished":  # others are written by the driver, which has no time for it
        kept = _measured(model, validated, training.fit, data, device)
        history = [kept if record is validated else record for record in history]
    record = CellRecord(
        format=CELL_FORMAT,
        cell_id=cell.cell_id,
        training_id=training.training_id,
        task=data.task,
        dataset=data.dataset,
        dataset_digest=data.digest,
        params=_params(training.fit, epochs=history[-1]["epoch"]),
        metrics={
            name: float(value)
            for name, value in kept.items()
            if name.startswith("val_") or name == "train_loss"
        },
        outcome=outcome,
        parameters=sum(parameter.numel() for parameter in model.parameters()),
        history=list(history),
        kept_epoch=kept["epoch"],
        seconds=sum(record["seconds"] for record in history),
        started=history[0]["timestamp"] - round(history[0]["seconds"] * 1000),
        ended=history[-1]["timestamp"],
        device=_device_name(torch.device(device)),
        hostname=socket.gethostname(),
    )
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        save_model(model, folder / "model.safetensors")
        if CRITERIA[data.task].predicts_planes:
            _draw_sheet(model, data.val, torch.device(device), folder / "sheet.png")
        (folder / "cell.json").write_text(record.model_dump_json(indent=1), encoding="utf-8")
        storage.upload_dir(folder, cell_folder(training.training_id, cell.cell_id), "cell.json")
    return cell.cell_id


def cut_cell(
    storage: LaunchStorage,
    training: Training,
    data: TaskData,
    outcome: str,
    *,
    history: Sequence[EpochRecord] = (),
) -> bool:
    """Write the cell of a training that was cut short, from its newest whole checkpoint.

    `history` holds epochs that are known to have been trained since. Returns False if there is no
    checkpoint yet: the training was cut before its first validation.
    """
    paths = [found.path for found in newest_first(storage, training.training_id)]
    state = newest_state(storage, paths, training.fit, "cpu")
    if state is None:
        return False
    later = [record for record in history if record["epoch"] > state.epoch]
    write_cell(storage, training, state, data, outcome=outcome, history=[*state.history, *later])
    return True


def _measured(
    model: ChromaModel,
    record: EpochRecord,
    config: FitConfig,
    data: TaskData,
    device: str | torch.device,
) -> EpochRecord:
    """Complete the record of an epoch by the metrics that its validation left out."""
    missing = [name for name in metric_names(data.task) if f"val_{name}" not in record]
    if not missing:
        return record
    measured = evaluate(
        model, data.val, data.task, device=device, batch_size=config.batch_size, names=missing
    )
    return measured | record


def _params(config: FitConfig, epochs: int) -> dict[str, Any]:
    params = {**config.identity(), "epochs": epochs}
    kwargs = params.pop("model_kwargs")
    return params | ({"model_kwargs": kwargs} if kwargs else {})


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
