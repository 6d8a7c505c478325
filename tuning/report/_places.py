"""Cells by their place in a table, and what several seeds of a place say together."""

from __future__ import annotations

import dataclasses
import math
import statistics
from collections.abc import Iterable

from tuning.display.formatting import (
    format_count,
    format_lr,
    format_value,
    head_title,
    higher_is_better,
)
from tuning.display.published import PublishedResult
from tuning.tracking.stored_runs import StoredCell
from tuning.training.tasks import CRITERIA

# Launches that train single models come before those that try many; what to say of the others.
_ORIGINS = {
    "finals": "",
    "finetune": "",
    "train": "trained alone",
    "grid": "from a grid",
    "search": "from a search",
}
_KINDS = list(_ORIGINS)
# Launches that start from a champion; what they train from random weights is for comparison.
_TRANSFER = {"finetune"}


@dataclasses.dataclass(frozen=True)
class Place:
    """One place of a table: a model, how long and fast it was trained, and a cell for each seed.

    `published_epochs` is the published row that it stands in; None for its own epochs.
    """

    model: str
    head: str
    lr: float
    epochs: int
    published_epochs: int | None = None
    cells: tuple[StoredCell, ...] = ()

    @property
    def title(self) -> str:
        return f"{self.model} {head_title(self.head)}"

    @property
    def row(self) -> int:
        return self.published_epochs or self.epochs

    @property
    def tuned(self) -> bool:
        return any(cell.parent_model is not None for cell in self.cells)

    @property
    def kind(self) -> str:
        """The kind of launch that it is from; of several, the one closest to a published model."""
        return min((cell.kind for cell in self.cells), key=_KINDS.index)

    @property
    def start(self) -> str:
        """`fine-tuned` or `from scratch` in transfer learning, else empty."""
        if self.tuned:
            return "fine-tuned"
        return "from scratch" if self.cells and self.kind in _TRANSFER else ""

    @property
    def origin(self) -> str:
        """What sets its training apart from a published one: `fine-tuned`, `from a grid`."""
        return self.start or _ORIGINS[self.kind]

    @property
    def outcome(self) -> str:
        """`finished` if any seed is; else the outcome of the newest cell."""
        if not self.cells:
            return "not run"
        return "finished" if any(cell.finished for cell in self.cells) else self.cells[-1].outcome

    @property
    def name(self) -> str:
        """What tells it from others of its task: `cnn2 ReLU, lr 1e-3, 500 epochs, fine-tuned`."""
        return f"{self.settings}, {self.start}" if self.start else self.settings

    @property
    def settings(self) -> str:
        """Its name without where it started from: `cnn2 ReLU, lr 1e-3, 500 epochs`."""
        return f"{self.title}, {trained(self.lr, self.epochs)}"

    @property
    def newest(self) -> StoredCell:
        """The cell that was started last; there must be one."""
        return max(self.cells, key=lambda cell: cell.started)

    def values(self, metric: str) -> list[float]:
        """The finite values, one a seed."""
        return [value for cell in self.cells if math.isfinite(value := cell.value(metric))]

    def mean(self, metric: str) -> float:
        values = self.values(metric)
        return statistics.fmean(values) if values else math.nan

    def spread(self, metric: str) -> float:
        """Sample standard deviation over the seeds; NaN of fewer than two."""
        values = self.values(metric)
        return statistics.stdev(values) if len(values) > 1 else math.nan

    def seeds(self, metric: str) -> list[str]:
        """Write the spread and the number of seeds, if there are several."""
        spread, count = self.spread(metric), len(self.values(metric))
        return [f"± {format_value(metric, spread)}, n = {count}"] if math.isfinite(spread) else []


def trained(lr: float, epochs: int) -> str:
    """Write `lr 1e-3, 500 epochs`; a search's rate has more digits than anyone reads."""
    return f"lr {format_lr(float(f'{lr:.3g}'))}, {format_count(epochs, 'epoch')}"


def gather(cells: Iterable[StoredCell], *, one_recipe: bool = False) -> list[Place]:
    """Put cells into their places, one a seed: the newest finished one, else the newest.

    Cells that were trained otherwise (batch size, loss, …) have places of their own, unless they
    are known to be of `one_recipe`: a grid's, where each stands in a published row.
    """
    found: dict[tuple[object, ...], dict[str, StoredCell]] = {}
    for cell in sorted(cells, key=lambda cell: (cell.finished, cell.started, cell.run_id)):
        recipe = () if one_recipe else cell.recipe
        epochs = cell.published_epochs if one_recipe else None
        key = (cell.model, cell.head, cell.lr, cell.epochs, epochs, *recipe)
        found.setdefault(key, {})[cell.seed] = cell
    return [
        Place(cell.model, cell.head, cell.lr, cell.epochs, cell.published_epochs, cells)
        for cells in (tuple(by_seed.values()) for by_seed in found.values())
        for cell in cells[:1]
    ]


def ranked(places: Iterable[Place], metric: str) -> list[Place]:
    """Those that have the metric, the best mean first."""
    measured = [place for place in places if place.values(metric)]
    return sorted(measured, key=lambda place: place.mean(metric), reverse=higher_is_better(metric))


def published_place(places: Iterable[Place], row: PublishedResult) -> Place | None:
    """Choose what stands for a single published model; None if there is nothing.

    A training made for it goes before one from a grid or a search; of the former the newest counts,
    of the latter the best on val. The published models of `ncd` are fine-tuned.
    """
    wanted = (row.model, row.head, row.dataset == "ncd")
    found = [place for place in places if (place.model, place.head, place.tuned) == wanted]
    if not found:
        return None
    first = min((place.kind for place in found), key=_KINDS.index)
    alike = [place for place in found if place.kind == first]
    if first in ("grid", "search"):
        best = ranked(alike, f"val_{CRITERIA[row.task].name}")
        return best[0] if best else alike[-1]
    return max(alike, key=lambda place: place.newest.started)
