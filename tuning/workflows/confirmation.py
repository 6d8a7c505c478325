"""Whether the differences between confirmed configurations are more than chance."""

from __future__ import annotations

import dataclasses
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from data_prep import DataError
from models import load_model
from tuning.errors import ChromatuneError
from tuning.launch.folder import Launch
from tuning.launch.open_dataset import open_recorded, task_data
from tuning.launch.records import cell_folder
from tuning.search.confirmation import Confirmed, Floats, paired_p
from tuning.search.objectives import keep_by
from tuning.training.data import Split
from tuning.training.metrics import picture_mse
from tuning.training.tasks import CRITERIA


def tested(launch: Launch, confirmed: Sequence[Confirmed]) -> list[Confirmed]:
    """Add the p-value of each configuration against the first.

    The errors of the validation images are compared, which says nothing of an objective that they
    do not decide: then there is none, nor where the data are not here any more.
    """
    if len(confirmed) < 2 or keep_by(launch.task, confirmed[0].objective) is not None:
        return list(confirmed)
    planes = CRITERIA[launch.task].predicts_planes
    try:
        dataset = open_recorded(launch)
        val = task_data(launch.config.data, dataset, launch.task, planes=planes).val
    except (ChromatuneError, DataError):
        return list(confirmed)
    first, *others = (_errors(launch, each, val) for each in confirmed)
    found = [None, *(paired_p(first, errors) for errors in others)]
    return [dataclasses.replace(each, p=p) for each, p in zip(confirmed, found, strict=True)]


def _errors(launch: Launch, confirmed: Confirmed, val: Split) -> Floats:
    """The squared error of each image, the mean over seeds."""
    found = []
    with tempfile.TemporaryDirectory() as scratch:
        for seed, cell in confirmed.cells.items():
            folder = cell_folder(confirmed.trainings[seed].training_id, cell.cell_id)
            path = launch.storage.download(
                f"{folder}/model.safetensors", Path(scratch) / f"{seed}.safetensors"
            )
            found.append(picture_mse(load_model(path), val, launch.task))
    errors: Floats = np.mean(found, axis=0)
    return errors
