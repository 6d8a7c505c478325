"""What the original paper published: its Tables I to VI, to show every result beside its own.

Source of every number: the original paper (a course report), the table named beside it. Values are
of planes in [0, 1] (OpenCV 8-bit Lab divided by 255), PSNR is in dB for a peak of 1. How they were
measured:

- Tables I and III are taken on val, the others on test; MSE and PSNR are pooled over all pictures.
- Colorizer numbers (III, IV, VI) were taken with BatchNorm in training mode, so they depend on the
  statistics of the evaluated batch: `val_psnr_as_reported` is this project's like-for-like metric.
- SSIM (Table VI) was taken over the stacked pictures as one 3-D volume with a data range of 2. That
  is not the usual definition and must not be compared with `test_ssim`.
- MSE values of Tables IV and VI have digits cut off rather than rounded.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from tuning.display.formatting import head_title

EPOCHS = (100, 300, 500)
LRS = (1e-3, 1e-4, 1e-5)

_Rows = tuple[tuple[float, float, float], ...]

# (model, head) -> one row per number of epochs, one column per learning rate, as in EPOCHS and LRS.
# Table I: MSE over both outputs, on val.
TABLE_I: Mapping[tuple[str, str], _Rows] = {
    ("cnn1", "relu"): (
        (0.000196, 0.000195, 0.1877),
        (0.000183, 0.000197, 0.1553),
        (0.000198, 0.000196, 0.14998),
    ),
    ("cnn2", "relu"): (
        (0.0001594, 0.000128, 0.000138),
        (0.000135, 0.000128, 0.0001218),
        (0.0001313, 0.000128, 0.000108),
    ),
    ("cnn3", "relu"): (
        (0.000114, 0.000109, 0.000142),
        (0.000129, 0.000109, 0.000136),
        (0.0001108, 0.000138, 0.000135),
    ),
}

# Table III: PSNR in dB from the MSE pooled over both channels and all pictures, on val.
TABLE_III: Mapping[tuple[str, str], _Rows] = {
    ("autoencoder", "relu"): (
        (34.5892, 34.4374, 34.46079),
        (34.12332, 34.6032, 34.37195),
        (34.57603, 34.59363, 34.30788),
    ),
    ("autoencoder", "sigmoid"): (
        (34.424, 34.66826, 33.6417),
        (34.5579, 34.67858, 34.6108),
        (34.62515, 34.435, 34.4634),
    ),
    ("autoencoder", "tanh"): (
        (35.4374, 35.5301, 32.1824),
        (35.6492, 35.3373, 34.9099),
        (35.75838, 35.1595, 34.8064),
    ),
}

GRIDS = {"regression": TABLE_I, "colorizer": TABLE_III}


@dataclass(frozen=True)
class PublishedResult:
    """One row of Tables II, IV, V or VI: a final model and its metrics on test, per channel."""

    table: str
    dataset: str
    task: str
    model: str
    head: str
    lr: float
    epochs: int
    metrics: Mapping[str, float]

    @property
    def name(self) -> str:
        return f"{self.model} {head_title(self.head)}"


# MSE, PSNR and the paper's own SSIM on test, each of a and b.
_METRICS = (
    *("test_mse_a", "test_mse_b", "test_psnr_a", "test_psnr_b"),
    *("test_ssim_a_as_reported", "test_ssim_b_as_reported"),
)
_II, _IV = ("II", "faces", "regression"), ("IV", "faces", "colorizer")
# Tables V and VI start from the Faces weights and train all layers on NCD.
_V, _VI = ("V", "ncd", "regression"), ("VI", "ncd", "colorizer")
_SIGMOID_NCD = (0.005042, 0.003354, 22.97336, 24.74351, 0.706159, 0.80465)
_TANH_NCD = (0.00332, 0.00299, 24.7877, 25.2298, 0.80334, 0.83706)

RESULTS: tuple[PublishedResult, ...] = tuple(
    PublishedResult(*table, model, head, lr, epochs, dict(zip(_METRICS, values, strict=False)))
    for table, model, head, lr, epochs, values in (
        (_II, "fc", "relu", 1e-5, 100, (0.000468, 0.000459)),
        (_II, "cnn2", "relu", 1e-5, 500, (6.2262e-05, 0.000172)),
        (_II, "cnn2", "tanh", 1e-5, 500, (4.40178e-05, 0.000129)),
        (_IV, "autoencoder", "sigmoid", 1e-3, 500, (0.000339, 0.000406, 34.69402, 33.90814)),
        (_IV, "autoencoder", "tanh", 1e-3, 500, (0.000222, 0.000380, 36.5217, 34.1997)),
        (_V, "cnn2", "relu", 1e-3, 1000, (0.00134, 0.00094)),
        (_V, "cnn2", "tanh", 1e-3, 1000, (0.00164, 0.00098)),
        (_VI, "autoencoder", "sigmoid", 1e-3, 1000, _SIGMOID_NCD),
        (_VI, "autoencoder", "tanh", 1e-3, 1000, _TANH_NCD),
    )
)


def published_cell(task: str, model: str, head: str, lr: float, epochs: int) -> float | None:
    """Look up one cell of Table I (`regression`: MSE) or III (`colorizer`: PSNR in dB), on val.

    None where no such cell was published.
    """
    rows = GRIDS.get(task, {}).get((model, head))
    column = next((i for i, known in enumerate(LRS) if math.isclose(lr, known)), None)
    if rows is None or column is None or epochs not in EPOCHS:
        return None
    return rows[EPOCHS.index(epochs)][column]


def published_results(dataset: str, task: str) -> tuple[PublishedResult, ...]:
    """List the rows of a dataset's final table (II, IV, V or VI); none if there is no table."""
    return tuple(row for row in RESULTS if (row.dataset, row.task) == (dataset, task))


def published_result(dataset: str, task: str, model: str, head: str) -> PublishedResult | None:
    """Look up the row of one final model; None where none was published."""
    rows = published_results(dataset, task)
    return next((row for row in rows if (row.model, row.head) == (model, head)), None)


def best_published(dataset: str, task: str) -> PublishedResult | None:
    """Look up the row with the lowest MSE over both channels; None if there is no table."""
    return min(
        published_results(dataset, task),
        key=lambda row: row.metrics["test_mse_a"] + row.metrics["test_mse_b"],
        default=None,
    )
