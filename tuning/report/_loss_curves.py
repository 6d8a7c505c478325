"""Figures 1 to 5 and 9 to 12: how the single trainings went."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from tuning.display.plots import loss_curve
from tuning.display.published import RESULTS
from tuning.errors import ChromatuneError
from tuning.report._document import Block, Figure, Text
from tuning.report._places import gather, published_place
from tuning.report._selection import Data
from tuning.tracking.stored_runs import Archive, StoredCell

Curves = Mapping[int, Sequence[float]]


# The number of each figure, the file that its values are given in, and the model that it shows.
_FIGURES = tuple(
    (number, f"{file}.csv", row)
    for (number, file), row in zip(
        (
            (1, "MLP_Regressor_train_loss_Faces"),
            (2, "CNN_Regressor_train_loss_Faces_ReLU"),
            (3, "CNN_Regressor_train_loss_Faces_Tanh"),
            (4, "DCA_train_loss_Faces_Sigmoid"),
            (5, "DCA_train_loss_Faces_Tanh"),
            (9, "CNN_Regressor_train_loss_NCD_ReLU"),
            (10, "CNN_Regressor_train_loss_NCD_Tanh"),
            (11, "DCA_train_loss_NCD_Sigmoid"),
            (12, "DCA_train_loss_NCD_Tanh"),
        ),
        RESULTS,
        strict=True,
    )
)


def read_published_curves(folder: Path) -> Curves:
    """Read the published losses, one epoch a line, by the number of their figure.

    Files that are not there are left out. Raises ChromatuneError if none is, or a line is not a
    number.
    """
    found = {
        number: _read_losses(folder / file)
        for number, file, _ in _FIGURES
        if (folder / file).is_file()
    }
    if not found:
        raise ChromatuneError(
            f"--published-curves {folder}: none of the nine files is there ({_FIGURES[0][1]}, …)"
        )
    return found


def loss_blocks(data: Data, task: str, archive: Archive, published: Curves) -> list[Block]:
    """The loss curves of a part of the report, and which of them were not run."""
    blocks: list[Block] = []
    missing = []
    places = gather(data.cells(task))
    for number, _, row in _FIGURES:
        if (row.dataset, row.task) != (data.role, task):
            continue
        place = published_place(places, row)
        if place is None or not archive.history(place.newest.run_id, "train_loss"):
            outcome = "not run" if place is None else f"{place.outcome}, no losses kept"
            missing.append(f"Fig. {number} ({row.name}, {outcome})")
            continue
        cell, curve = place.newest, published.get(number)
        origin = "" if place.start or not place.origin else f", {place.origin}"
        state = "" if cell.finished else f" ({cell.outcome})"
        behind = "; dashed: the published curve" if curve else ""
        caption = f"Fig. {number}: training loss of {place.name}{origin}{state}{behind}."
        png = draw_loss(cell, row.name, archive, curve)
        alt = f"Loss curve of {place.name}"
        blocks.append(Figure(f"figure-{number:02d}", caption, png, alt, width="half"))
    if missing:
        blocks.append(Text(f"No training loss: {', '.join(missing)}.", "missing"))
    return blocks


def draw_loss(
    cell: StoredCell, title: str, archive: Archive, published: Sequence[float] | None = None
) -> bytes:
    """Draw a cell's training loss and validation error as PNG."""
    records: dict[int, dict[str, float]] = {}
    for metric in ("train_loss", "val_mse", "val_psnr"):
        for step, value in archive.history(cell.run_id, metric):
            records.setdefault(step, {"epoch": step})[metric] = value
    return loss_curve([*records.values()], title, published, cell.head)


def _read_losses(path: Path) -> list[float]:
    try:
        losses = [float(word) for word in path.read_text(encoding="utf-8").split()]
    except ValueError as error:
        raise ChromatuneError(f"{path}: not a list of training losses ({error})") from None
    if not losses or not all(map(math.isfinite, losses)):
        raise ChromatuneError(f"{path}: must hold finite training losses, one a line")
    return losses
