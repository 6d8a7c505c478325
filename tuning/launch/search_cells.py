"""The cell of a search's trial: its best state so far, and how the trial ended."""

from __future__ import annotations

import dataclasses
import tempfile
from collections.abc import Sequence
from pathlib import Path

import torch

from tuning.config.search import MUTABLE
from tuning.errors import ChromatuneError
from tuning.launch.attempts import fetched, newest_first
from tuning.launch.cells import write_cell
from tuning.launch.storage import LaunchStorage
from tuning.launch.trainings import Training
from tuning.training.checkpoint import EpochRecord, TrainState
from tuning.training.data import TaskData

# A cell with another outcome was cut from a training that may have gone on since.
_FINAL = ("finished", "pruned")


def cut_cell(
    storage: LaunchStorage,
    training: Training,
    data: TaskData,
    outcome: str,
    *,
    history: Sequence[EpochRecord] = (),
) -> bool:
    """Write the cell of a training that was cut short, from the checkpoint kept for its best state.

    `history` holds epochs that are known to have been trained since. False if there is no
    checkpoint yet: the training was cut before its first validation.
    """
    for found in newest_first(storage, training.training_id):
        changed = {name: found.training[name] for name in MUTABLE}
        fit = dataclasses.replace(training.fit, **changed)
        try:
            with fetched(storage, found.path) as folder:
                state = TrainState.load(folder, fit, "cpu")
        except ChromatuneError:
            continue  # damaged: an older one is better than none
        later = [record for record in history if record["epoch"] > state.epoch]
        write_search_cell(
            storage,
            dataclasses.replace(training, fit=fit),
            state,
            outcome=outcome,
            history=[*state.history, *later],
            data=data,
            device="cpu",
        )
        return True
    return False


def write_search_cell(
    storage: LaunchStorage,
    training: Training,
    state: TrainState,
    *,
    outcome: str,
    history: Sequence[EpochRecord],
    data: TaskData,
    device: str | torch.device,
) -> str:
    """Write the state that the training keeps as its cell; return the cell's id.

    A finished or pruned cell that is there already is left as it is.
    """
    (cell,) = training.cells
    target = f"{training.training_id}/cells/{cell.cell_id}"
    is_there = storage.exists(f"{target}/cell.json")
    if is_there and storage.read_json(f"{target}/cell.json")["outcome"] in _FINAL:
        return cell.cell_id
    model, record = state.kept()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "cell"
        write_cell(
            folder,
            cell_id=cell.cell_id,
            training_id=training.training_id,
            config=training.fit,
            history=history,
            metrics=record,
            model=model,
            data=data,
            device=device,
            outcome=outcome,
        )
        storage.upload_dir(folder, target, last="cell.json")
    return cell.cell_id
