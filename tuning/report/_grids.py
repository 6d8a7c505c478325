"""Tables I and III and their heatmaps."""

from __future__ import annotations

import math
from collections.abc import Sequence
from string import ascii_lowercase

from tuning.display.formatting import format_lr, format_value, head_title, metric_title
from tuning.display.plots import grid_heatmap
from tuning.display.published import EPOCHS, GRID_METRICS, LRS, TABLE_I, TABLE_III, published_cell
from tuning.display.result_tables import beats, verdict
from tuning.display.table import Cell, Row, Table
from tuning.report._document import Block, Figure, Text
from tuning.report._images import drawn
from tuning.report._places import Place, gather, ranked
from tuning.report._prose import beside_constant, beside_published, percent, who_wins
from tuning.report._selection import Data, grid_launches
from tuning.tracking.records import Store
from tuning.training.tasks import CRITERIA

_NUMBERS = {"regression": "I", "colorizer": "III"}
_PUBLISHED = {"regression": TABLE_I, "colorizer": TABLE_III}
# More columns than a page is wide are continued in a second table.
_MOST_COLUMNS = 5
_NO_GRID = "No {task} grid was run on {where}: run `chromatune grid {task}`."


class Grid:
    """A grid's places on one dataset, laid out as the original paper's table."""

    def __init__(self, data: Data | None, task: str, store: Store) -> None:
        self.task = task
        self.metric = GRID_METRICS[task]
        self.launches = grid_launches(data, task) if data else []
        cells = (cell for launch in self.launches for cell in launch.cells)
        self.places = gather(cells, one_recipe=True)
        self.constant = data.baseline(task).get(self.metric, math.nan) if data else math.nan
        self._data = data
        self._store = store
        self._best = ranked(self.places, self.metric)[:1]
        own = {(place.model, place.head) for place in self.places}
        self.groups = [*_PUBLISHED[task], *sorted(own - set(_PUBLISHED[task]))]
        self.lrs = sorted({*LRS, *(place.lr for place in self.places)}, reverse=True)
        self._scaled = {place.row: place.epochs for place in self.places}
        self._is_compared = data is not None and data.is_published

    def tables(self) -> list[Table]:
        found = []
        for letter, group in zip(ascii_lowercase, self.groups, strict=False):
            number = f"Table {_NUMBERS[self.task]} ({letter})"
            beyond = "" if group in _PUBLISHED[self.task] else ", not published"
            title = f"{number} {group[0]}, {head_title(group[1])}{beyond}"
            caption = f"{title}: {metric_title(self.metric)}"
            for start in range(0, len(self.lrs), _MOST_COLUMNS):
                lrs = self.lrs[start : start + _MOST_COLUMNS]
                more = " (continued)" if start else ""
                found.append(self._table(caption + more, group, lrs))
        return found

    def heatmap(self) -> Figure | None:
        """Draw the grid; None if nothing of it was measured."""
        if not self._best:
            return None
        groups = [g for g in self.groups if any((p.model, p.head) == g for p in self.places)]
        rows = sorted({row for group in groups for row in self._rows(group)})
        values = {
            f"{group[0]}, {head_title(group[1])}": [
                [self._at(group, row, lr).mean(self.metric) for lr in self.lrs] for row in rows
            ]
            for group in groups
        }
        scaled = [(self._scaled.get(row, row), row) for row in rows]
        labels = [str(row) if epochs == row else f"{epochs} ({row})" for epochs, row in scaled]
        title, lrs = metric_title(self.metric), [format_lr(lr) for lr in self.lrs]
        up = CRITERIA[self.task].higher_is_better
        return Figure(
            f"heatmap-{self.task}",
            f"Table {_NUMBERS[self.task]} as a heatmap: dark is better.",
            drawn(lambda path: grid_heatmap(title, labels, lrs, values, self.metric, up, path)),
            f"Heatmap of {title}; best is {self._best[0].name}",
        )

    def findings(self) -> list[Text]:
        sentences = who_wins(self.places, self.metric)
        if not sentences:
            return []
        if math.isfinite(self.constant):
            sentences.append(beside_constant(self.places, self.metric, self.constant))
        if self._is_compared:
            sentences += [*self._beside_the_published(), self._the_published_winner()]
        return [Text(" ".join(sentences), "finding")]

    def notes(self) -> list[Text]:
        """What a reader must know of this grid before reading it."""
        if self._data is None or not self.launches:
            where = self._data.name if self._data else "faces"
            return [Text(_NO_GRID.format(task=self.task, where=where), "missing")]
        notes = []
        if any(place.epochs != place.row for place in self.places):
            notes.append("`for 500`: a shorter training that stands for the published 500 epochs.")
        done = sum(place.outcome == "finished" for place in self.places)
        planned = sum(launch.planned for launch in self.launches)
        if done < len(self.places):
            notes.append(f"{done} of {planned} planned cells have finished.")
        used = ", ".join(launch.launch_id for launch in self.launches)
        return [Text(" ".join([*notes, f"Launches: {used}."]), "note")]

    def _published(self, place: Place) -> float | None:
        return published_cell(self.task, place.model, place.head, place.lr, place.row)

    def _at(self, group: tuple[str, str], row: int, lr: float) -> Place:
        """The place there, or an empty one that was not run."""
        for place in self.places:
            if (place.model, place.head, place.row) == (*group, row) and place.lr == lr:
                return place
        return Place(*group, lr, self._scaled.get(row, row), row)

    def _rows(self, group: tuple[str, str]) -> list[int]:
        published = EPOCHS if group in _PUBLISHED[self.task] else ()
        return sorted({*published, *(p.row for p in self.places if (p.model, p.head) == group)})

    def _table(self, caption: str, group: tuple[str, str], lrs: Sequence[float]) -> Table:
        here = ranked([p for p in self.places if (p.model, p.head) == group], self.metric)
        rows = tuple(
            Row(
                str(self._scaled.get(row, row)),
                tuple(self._cell(self._at(group, row, lr), here[:1]) for lr in lrs),
                (f"for {row}",) if self._scaled.get(row, row) != row else (),
            )
            for row in self._rows(group)
        )
        constant = format_value(self.metric, self.constant)
        notes = (f"Constant predictor: {constant}",) if math.isfinite(self.constant) else ()
        return Table(caption, "epochs", tuple(f"lr {format_lr(lr)}" for lr in lrs), rows, notes)

    def _cell(self, place: Place, best_here: Sequence[Place]) -> Cell:
        value, published = place.mean(self.metric), self._published(place)
        below = place.seeds(self.metric)
        if published is not None:
            below.append(f"published {format_value(self.metric, published)}")
        run = place.best(self.metric)
        href = self._store.link(run) if run else None
        if math.isnan(value):
            outcome = "no value" if place.outcome == "finished" else place.outcome
            return Cell(outcome, tuple(below), missing=True, href=href)
        if math.isfinite(self.constant):
            below.append(beside(self.metric, value, self.constant))
        return Cell(
            format_value(self.metric, value),
            tuple(below),
            verdict=verdict(self.metric, value, published if self._is_compared else None),
            winner="all" if [place] == self._best else "table" if place in best_here else None,
            fails=math.isfinite(self.constant) and not beats(self.metric, value, self.constant),
            href=href,
        )

    def _beside_the_published(self) -> list[str]:
        ways = {
            self.metric: "Beside the published values",
            f"{self.metric}_as_reported": "Measured as in the original paper (BatchNorm in "
            "training mode)",
        }
        sentences = []
        for metric, how in ways.items():
            pairs = [
                (place.mean(metric), published)
                for place in ranked(self.places, metric)
                if (published := self._published(place)) is not None
            ]
            if pairs:
                sentences.append(beside_published(self.metric, pairs, how))
        return sentences

    def _the_published_winner(self) -> str:
        """Where the cell that won in the original paper stands here."""
        places = [
            Place(*group, lr, self._scaled.get(row, row), row)
            for group in _PUBLISHED[self.task]
            for row in EPOCHS
            for lr in LRS
        ]
        pick = max if CRITERIA[self.task].higher_is_better else min
        theirs = pick(places, key=lambda place: self._published(place) or 0.0)
        order = ranked(self.places, self.metric)
        here = self._at((theirs.model, theirs.head), theirs.row, theirs.lr)
        if here not in order:
            return f"The published winner ({theirs.name}) has not been measured."
        rank = order.index(here) + 1
        standing = "wins here too" if rank == 1 else f"is number {rank} of {len(order)} here"
        return f"The published winner ({here.name}) {standing}."


def grid_blocks(grid: Grid) -> list[Block]:
    """All of a grid: findings, notes, its tables and the heatmap."""
    heatmap = grid.heatmap()
    figures: list[Block] = [heatmap] if heatmap else []
    return [*grid.findings(), *grid.tables(), *grid.notes(), *figures]


def beside(metric: str, value: float, constant: float) -> str:
    """Write a value's distance from the constant predictor's: `const. −19 %`, `✗ const. ×908`.

    The cross says that the constant predictor does no worse.
    """
    words = "const." if beats(metric, value, constant) else "✗ const."
    if "psnr" in metric:
        return f"{words} {value - constant:+.1f} dB".replace("-", "−")
    ratio = value / constant if constant > 0 else math.inf
    if ratio > 2:
        return f"{words} ×{ratio:.0f}" if ratio >= 10 else f"{words} ×{ratio:.1f}"
    return f"{words} {'+' if ratio >= 1 else '−'}{percent(abs(ratio - 1))}"
