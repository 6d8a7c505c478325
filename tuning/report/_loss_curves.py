"""Figures 1 to 5 and 9 to 12: how the single trainings went."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from tuning.display.formatting import head_title
from tuning.display.plots import loss_curve
from tuning.errors import ChromatuneError
from tuning.report._document import Block, Figure, Figures, Text
from tuning.report._images import drawn
from tuning.report._places import Place, gather, published_place
from tuning.report._selection import Data
from tuning.tracking.records import Archive, StoredCell

Curves = Mapping[int, Sequence[float]]


class LossFigure(NamedTuple):
    """One loss curve of the original paper, and the file that its values are given in."""

    number: int
    role: str
    task: str
    model: str
    head: str
    file: str

    @property
    def title(self) -> str:
        return f"{self.model} {head_title(self.head)}"


LOSS_FIGURES = tuple(
    LossFigure(number, role, task, model, head, f"{file}.csv")
    for number, role, task, model, head, file in (
        (1, "faces", "regression", "fc", "relu", "MLP_Regressor_train_loss_Faces"),
        (2, "faces", "regression", "cnn2", "relu", "CNN_Regressor_train_loss_Faces_ReLU"),
        (3, "faces", "regression", "cnn2", "tanh", "CNN_Regressor_train_loss_Faces_Tanh"),
        (4, "faces", "colorizer", "autoencoder", "sigmoid", "DCA_train_loss_Faces_Sigmoid"),
        (5, "faces", "colorizer", "autoencoder", "tanh", "DCA_train_loss_Faces_Tanh"),
        (9, "ncd", "regression", "cnn2", "relu", "CNN_Regressor_train_loss_NCD_ReLU"),
        (10, "ncd", "regression", "cnn2", "tanh", "CNN_Regressor_train_loss_NCD_Tanh"),
        (11, "ncd", "colorizer", "autoencoder", "sigmoid", "DCA_train_loss_NCD_Sigmoid"),
        (12, "ncd", "colorizer", "autoencoder", "tanh", "DCA_train_loss_NCD_Tanh"),
    )
)


def read_published_curves(folder: Path) -> Curves:
    """Read the published losses, one epoch a line, by the number of their figure.

    Files that are not there are left out. Raises ChromatuneError if none is, or a line is not a
    number.
    """
    if not folder.is_dir():
        raise ChromatuneError(f"--published-curves {folder}: there is no such folder")
    found = {
        figure.number: _read_losses(folder / figure.file)
        for figure in LOSS_FIGURES
        if (folder / figure.file).is_file()
    }
    if not found:
        raise ChromatuneError(
            f"--published-curves {folder}: it holds none of the nine files, such as "
            f"{LOSS_FIGURES[0].file}"
        )
    return found


def loss_blocks(data: Data, task: str, archive: Archive, published: Curves) -> list[Block]:
    """The loss curves of a part of the report, and which of them were not run."""
    figures, missing = [], []
    places = gather(data.cells(task))
    for figure in LOSS_FIGURES:
        if (figure.role, figure.task) != (data.role, task):
            continue
        place = published_place(places, data.role, task, figure.model, figure.head)
        if place is None or not archive.history(place.newest.run_id, "train_loss"):
            outcome = "not run" if place is None else f"{place.outcome}, no losses kept"
            missing.append(f"Fig. {figure.number} ({figure.title}, {outcome})")
        else:
            figures.append(_draw(figure, place, archive, published.get(figure.number)))
    blocks: list[Block] = [Figures(tuple(figures))] if figures else []
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
    history = [*records.values()]
    return drawn(lambda path: loss_curve(history, title, path, published, cell.head))


def _draw(
    figure: LossFigure, place: Place, archive: Archive, published: Sequence[float] | None
) -> Figure:
    cell = place.newest
    origin = "" if place.start or not place.origin else f", {place.origin}"
    state = "" if cell.finished else f" ({cell.outcome})"
    behind = "; dashed: the published curve" if published else ""
    return Figure(
        f"figure-{figure.number:02d}",
        f"Fig. {figure.number}: training loss of {place.name}{origin}{state}{behind}.",
        draw_loss(cell, figure.title, archive, published),
        f"Loss curve of {place.name}",
        width="half",
    )


def _read_losses(path: Path) -> list[float]:
    try:
        losses = [float(word) for word in path.read_text(encoding="utf-8").split()]
    except ValueError as error:
        raise ChromatuneError(f"{path}: not a list of training losses ({error})") from None
    if not losses or not all(map(math.isfinite, losses)):
        raise ChromatuneError(f"{path}: must hold finite training losses, one a line")
    return losses
