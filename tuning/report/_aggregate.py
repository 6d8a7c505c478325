"""Cells by their place in a table, and what several seeds of one say together."""

from __future__ import annotations

import dataclasses
import math
import statistics
from collections.abc import Iterable

from tuning.display.formatting import format_lr, head_title, higher_is_better
from tuning.tracking.records import StoredCell
from tuning.training.tasks import CRITERIA

# What may differ between the seeds of one place.
_NO_RECIPE = {"seed", "parameters", "eval_every"}
_KINDS = ("finals", "finetune", "train", "grid", "search")


@dataclasses.dataclass(frozen=True)
class Place:
    """One place of a table: a model, how long and fast it was trained, and a cell for each seed.

    `published_epochs` is the row of the original report that it stands in; None for its own epochs.
    """

    model: str
    head: str
    lr: float
    epochs: int
    published_epochs: int | None = None
    tuned: bool = False
    cells: tuple[StoredCell, ...] = ()

    @property
    def row(self) -> int:
        return self.published_epochs or self.epochs

    @property
    def outcome(self) -> str:
        """`finished` if any seed is; else what became of the newest cell."""
        if not self.cells:
            return "not run"
        return "finished" if any(cell.finished for cell in self.cells) else self.cells[-1].outcome

    @property
    def name(self) -> str:
        """What tells it from others of its task: `cnn2 ReLU, lr 1e-3, 500 epochs, fine-tuned`."""
        return f"{self.settings}, fine-tuned" if self.tuned else self.settings

    @property
    def settings(self) -> str:
        """Its name without where it started from: `cnn2 ReLU, lr 1e-3, 500 epochs`."""
        unit = "epoch" if self.epochs == 1 else "epochs"
        lr = format_lr(float(f"{self.lr:.3g}"))  # a search's has more digits than anyone reads
        return f"{self.model} {head_title(self.head)}, lr {lr}, {self.epochs} {unit}"

    @property
    def newest(self) -> StoredCell:
        """The cell that was begun last; there must be one."""
        return max(self.cells, key=lambda cell: cell.started)

    def values(self, metric: str) -> list[float]:
        """The finite figures, one a seed."""
        return [value for cell in self.cells if math.isfinite(value := cell.value(metric))]

    def mean(self, metric: str) -> float:
        values = self.values(metric)
        return statistics.fmean(values) if values else math.nan

    def spread(self, metric: str) -> float:
        """Sample standard deviation over the seeds; NaN of fewer than two."""
        values = self.values(metric)
        return statistics.stdev(values) if len(values) > 1 else math.nan

    def best(self, metric: str) -> StoredCell | None:
        """The seed's cell with the best figure; without any figure, the newest cell."""
        finite = [cell for cell in self.cells if math.isfinite(cell.value(metric))]
        if not finite:
            return self.cells[-1] if self.cells else None
        pick = max if higher_is_better(metric) else min
        return pick(finite, key=lambda cell: cell.value(metric))


def gather(cells: Iterable[StoredCell], *, one_recipe: bool = False) -> list[Place]:
    """Put cells into their places, one a seed: the newest finished one, else the newest.

    Cells that were trained otherwise (batch size, loss, …) have places of their own, unless they
    are known to be of `one_recipe`: a grid's, where each stands in a row of the original report.
    """
    found: dict[tuple[object, ...], dict[str, StoredCell]] = {}
    for cell in sorted(cells, key=lambda cell: (cell.finished, cell.started, cell.run_id)):
        tuned = cell.parent_model is not None
        params = {name: text for name, text in cell.params.items() if name not in _NO_RECIPE}
        recipe = (cell.published_epochs,) if one_recipe else tuple(sorted(params.items()))
        key = (cell.model, cell.head, cell.lr, cell.epochs, tuned, recipe)
        found.setdefault(key, {})[cell.seed] = cell
    return [_place(tuple(by_seed.values())) for by_seed in found.values()]


def _place(cells: tuple[StoredCell, ...]) -> Place:
    first = cells[0]
    return Place(
        *(first.model, first.head, first.lr, first.epochs, first.published_epochs),
        tuned=first.parent_model is not None,
        cells=cells,
    )


def ranked(places: Iterable[Place], metric: str) -> list[Place]:
    """Those that have the figure, the best mean first."""
    measured = [place for place in places if place.values(metric)]
    return sorted(measured, key=lambda place: place.mean(metric), reverse=higher_is_better(metric))


def own_training_first(places: Iterable[Place], task: str) -> Place | None:
    """Choose what stands for a single model of the original report; None if there is nothing.

    A training made for it goes before one from a grid or a search; of the former the newest counts,
    of the latter the best on val.
    """
    found = list(places)
    if not found:
        return None
    first = min(_precedence(place) for place in found)
    alike = [place for place in found if _precedence(place) == first]
    if first < _KINDS.index("grid"):
        return max(alike, key=lambda place: place.newest.started)
    best = ranked(alike, f"val_{CRITERIA[task].name}")
    return best[0] if best else alike[-1]


def _precedence(place: Place) -> int:
    kinds = {cell.kind for cell in place.cells}
    return min((n for n, kind in enumerate(_KINDS) if kind in kinds), default=len(_KINDS))


def origin_title(kind: str) -> str:
    """Say which kind of launch a cell is from: `from a grid`, `trained alone`."""
    return "trained alone" if kind == "train" else f"from a {kind}"
