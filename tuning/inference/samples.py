"""A model's predictions for its test pictures: sheets of tiles and a score for each picture.

Made when the model is evaluated on the test set and stored with its metrics, so that a report needs
neither the pictures nor the model. Every file but `error_map.png` is a sheet of bare tiles;
`scores.json` describes them and is written last.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from data_prep import PreparedDataset, lab_to_rgb
from data_prep.augment import augmented_copies, copy_keys
from models import ChromaModel
from tuning.display.pictures import error_map, error_picture, picture_grid, write_png
from tuning.training.data import DeviceSplit, Split, load_split, load_task_data
from tuning.training.metrics import constant_baseline, predict, to_bytes
from tuning.training.tasks import CRITERIA

FORMAT = 1
SCORES = "scores.json"
# The distance in the a, b plane, in Lab units, that an error tile shows darkest.
ERROR_SCALE = 30.0
COPIES = (
    *("original", "flip", "flip", "flip", "zoom", "zoom", "vertical shift + zoom"),
    *("horizontal shift + zoom", "vertical shift + zoom, flipped"),
    "horizontal shift + zoom, flipped",
)
PLANES = ("picture", "L", "a", "b")
_COLUMNS = {
    "colorizer": ("grayscale", "predicted", "true", "error"),
    "regression": ("grayscale", "predicted mean colour", "true mean colour", "true"),
}
_SAMPLES, _EXTREMES, _PIPELINE = 6, 10, 2
_NEUTRAL, _MIDDLE = 128, 150  # of a and b; of L, where the colours of the screen reach farthest

Bytes = NDArray[np.uint8]
Floats = NDArray[np.floating[Any]]


def write_showcase(
    model: ChromaModel, dataset: PreparedDataset, folder: Path, device: str = "cpu"
) -> None:
    """Write the sheets, the error map of a colorizer and `scores.json` into `folder`.

    A picture's score is its MSE over both channels: of the a and b planes, or of their means.
    Raises tuning.training.metrics.NonFinitePredictionError if the model predicts NaN or infinity.
    """
    task = model.task
    test = load_split(dataset, "test", "colorizer")
    predicted = _predict(model, test, device)
    baseline = load_task_data(dataset, task).baseline_ab
    constant = np.asarray(baseline, dtype=np.float32).reshape(1, 2, *([1] * (predicted.ndim - 2)))
    scores = _scores(predicted, test)
    constant_scores = _scores(np.broadcast_to(constant, predicted.shape), test)

    ranked = [int(row) for row in np.argsort(scores, kind="stable")]
    chosen = {
        "samples": _spread(len(test), _SAMPLES),
        "best": ranked[:_EXTREMES],
        "worst": ranked[::-1][:_EXTREMES],
    }
    sheets: dict[str, Any] = {}
    for name, rows in chosen.items():
        _write_sheet(folder, name, _rows(test, rows), predicted[rows], task)
        sheets[name] = {"split": "test", "columns": _COLUMNS[task], "rows": rows}
    sheets |= _train_samples(model, dataset, folder, device) | _pipeline(dataset, folder)
    if CRITERIA[task].predicts_planes:
        errors = np.abs(predicted - _true(test)).mean(axis=0) * 255
        error_map({"a": errors[0], "b": errors[1]}, folder / "error_map.png")

    document = {
        "format": FORMAT,
        "task": task,
        "dataset": dataset.name,
        "dataset_digest": dataset.digest,
        "photographs": dataset.manifest.source.kind != "synthetic",
        "error_scale": ERROR_SCALE,
        "constant": constant_baseline(test, baseline, task, "test_"),
        "sheets": sheets,
        "pictures": [
            {
                "name": entry.name,
                "category": entry.category,
                "mse": float(score),
                "constant_mse": float(beside),
            }
            for entry, score, beside in zip(
                dataset.files("test"), scores, constant_scores, strict=True
            )
        ],
    }
    text = json.dumps(document, indent=1, allow_nan=False)
    (folder / SCORES).write_text(text, encoding="utf-8")


def _predict(model: ChromaModel, split: Split, device: str) -> Floats:
    return predict(model, DeviceSplit(split, "regression", torch.device(device)))


def _scores(predicted: Floats, split: Split) -> Floats:
    """Each picture's MSE over both channels and all its pixels."""
    true = _true(split) if predicted.ndim == 4 else split.mean_ab
    squared = np.square(predicted.astype(np.float64) - true)
    return np.asarray(squared.reshape(len(split), -1).mean(axis=1))


def _train_samples(
    model: ChromaModel, dataset: PreparedDataset, folder: Path, device: str
) -> dict[str, Any]:
    """Draw predictions for training pictures: originals, no augmented copies."""
    train = load_split(dataset, "train", "colorizer")
    copies = dataset.manifest.settings.augment
    numbers = _spread(len(train) // copies, _SAMPLES)
    split = _rows(train, [number * copies for number in numbers])
    _write_sheet(folder, "train_samples", split, _predict(model, split, device), model.task)
    columns = _COLUMNS[model.task]
    return {"train_samples": {"split": "train", "columns": columns, "rows": numbers}}


def _pipeline(dataset: PreparedDataset, folder: Path) -> dict[str, Any]:
    """Draw the planes of two training pictures, and their ten copies as the preparation cut them.

    The copies are made again from the prepared picture with the preparation's random numbers, so
    that they can also be shown for a dataset that was prepared without augmentation.
    """
    train = dataset.planes("train")
    files, settings = dataset.files("train"), dataset.manifest.settings
    numbers = _spread(len(files), _PIPELINE)
    keys = copy_keys(settings.seed, [entry.sha256 for entry in files])
    planes, copies = [], []
    for number in numbers:
        row = number * settings.augment
        L, a, b = (np.asarray(plane[row]) for plane in (train.L, train.a, train.b))
        rgb, gray = lab_to_rgb(L, a, b), np.full_like(L, _MIDDLE)
        planes.append([rgb, _painted(L), _painted(gray, a=a), _painted(gray, b=b)])
        copies.append(list(augmented_copies(rgb, len(COPIES), keys[number])))
    write_png(picture_grid(planes), folder / "planes.png")
    write_png(picture_grid(copies), folder / "copies.png")
    return {
        "planes": {"split": "train", "columns": PLANES, "rows": numbers},
        "copies": {
            "split": "train",
            "columns": COPIES,
            "rows": numbers,
            "augment": settings.augment,
        },
    }


def _write_sheet(folder: Path, name: str, split: Split, predicted: Floats, task: str) -> None:
    row_of = _colorizer_row if CRITERIA[task].predicts_planes else _regression_row
    rows = [row_of(split, predicted, row) for row in range(len(split))]
    write_png(picture_grid(rows), folder / f"{name}.png")


def _colorizer_row(split: Split, predicted: Floats, row: int) -> list[Bytes]:
    L, (a, b) = split.L[row], (plane[row] for plane in split.planes)
    made = lab_to_rgb(L, *to_bytes(predicted[row].astype(np.float32)))
    distance = np.hypot(*(predicted[row] * 255 - np.stack([a, b]).astype(np.float64)))
    return [_painted(L), made, lab_to_rgb(L, a, b), error_picture(distance, ERROR_SCALE)]


def _regression_row(split: Split, predicted: Floats, row: int) -> list[Bytes]:
    L, (a, b) = split.L[row], (plane[row] for plane in split.planes)
    swatches = [_swatch(L, means[row]) for means in (predicted, split.mean_ab)]
    return [_painted(L), *swatches, lab_to_rgb(L, a, b)]


def _swatch(L: Bytes, ab: Floats) -> Bytes:
    """One colour of a picture's own mean lightness."""
    a, b = (np.full_like(L, value) for value in to_bytes(ab.astype(np.float32)))
    return lab_to_rgb(np.full_like(L, round(float(L.mean()))), a, b)


def _painted(L: Bytes, a: Bytes | None = None, b: Bytes | None = None) -> Bytes:
    neutral = np.full_like(L, _NEUTRAL)
    return lab_to_rgb(L, neutral if a is None else a, neutral if b is None else b)


def _true(split: Split) -> Floats:
    return np.stack(split.planes, axis=1).astype(np.float32) / np.float32(255)


def _spread(count: int, wanted: int) -> list[int]:
    """Choose rows evenly: neighbours show the same person or the same kind of fruit."""
    return [int(row) for row in np.unique(np.linspace(0, count - 1, wanted).round())]


def _rows(split: Split, rows: Sequence[int]) -> Split:
    a, b = split.planes
    chosen = list(rows)
    return Split(split.L[chosen], a[chosen], b[chosen], split.mean_ab[chosen])
