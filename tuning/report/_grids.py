"""Tables I and III and their heatmaps."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from string import ascii_lowercase

from tuning.display.formatting import format_lr, format_value, head_title, metric_title
from tuning.display.plots import grid_heatmap
from tuning.display.published import EPOCHS, GRID_METRICS, LRS, TABLE_I, TABLE_III, published_cell
from tuning.display.result_tables import beats, verdict
from tuning.display.table import Cell, Row, Table
from tuning.report._aggregate import Place, gather, ranked
from tuning.report._document import Block, Figure, Text
from tuning.report._prose import beside_constant, beside_published, percent, who_wins
from tuning.report._selection import Data, grid_launches
from tuning.tracking.records import Store
from tuning.training.tasks import CRITERIA

_NUMBERS = {"regression": "I", "colorizer": "III"}
_PUBLISHED = {"regression": TABLE_I, "colorizer": TABLE_III}
# More columns than a page is wide are continued in a second table.
_MOST_COLUMNS = 5
_NO_GRID = "No {task} grid was run on {where}: `chromatune grid {task}` runs it."


class Grid:
    """A grid's places on one dataset, laid out as the original report's table."""

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

    @property
    def is_compared(self) -> bool:
        return self._data is not None and self._data.is_published

    def published(self, place: Place) -> float | None:
        return published_cell(self.task, place.model, place.head, place.lr, place.row)

    def at(self, group: tuple[str, str], row: int, lr: float) -> Place:
        """The place there, or an empty one that was not run."""
        for place in self.places:
            if (place.model, place.head, place.row) == (*group, row) and place.lr == lr:
                return place
        return Place(*group, lr, self._scaled.get(row, row), row)

    def rows(self, group: tuple[str, str]) -> list[int]:
        published = EPOCHS if group in _PUBLISHED[self.task] else ()
        here = {p.row for p in self.places if (p.model, p.head) == group}
        return sorted({*published, *here})

    def label(self, row: int) -> str:
        """Write `500`, or `25 (500)` for 25 epochs that stand for the report's 500."""
        epochs = self._scaled.get(row, row)
        return str(row) if epochs == row else f"{epochs} ({row})"

    def tables(self) -> list[Table]:
        found = []
        for letter, group in zip(ascii_lowercase, self.groups, strict=False):
            number = f"Table {_NUMBERS[self.task]} ({letter})"
            beyond = "" if group in _PUBLISHED[self.task] else ", beyond the report"
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
        groups = [group for group in self.groups if self._is_begun(group)]
        rows = sorted({row for group in groups for row in self.rows(group)})
        values = {
            f"{model}, {head_title(head)}": [
                [self.at((model, head), row, lr).mean(self.metric) for lr in self.lrs]
                for row in rows
            ]
            for model, head in groups
        }
        labels, columns = [self.label(row) for row in rows], [format_lr(lr) for lr in self.lrs]
        best = self._best[0]
        return Figure(
            f"heatmap-{self.task}",
            f"Table {_NUMBERS[self.task]} as a heatmap: dark is better.",
            draw_heatmap(self.task, labels, columns, values, stacked=False),
            f"Heatmap of {metric_title(self.metric)}; best is {best.name}",
            narrow=draw_heatmap(self.task, labels, columns, values, stacked=True),
        )

    def findings(self) -> list[Text]:
        sentences = who_wins(self.places, self.metric)
        if not sentences:
            return []
        if math.isfinite(self.constant):
            sentences.append(beside_constant(self.places, self.metric, self.constant))
        if self.is_compared:
            sentences += self._beside_the_report()
        return [Text(" ".join(sentences), "finding")]

    def notes(self) -> list[Text]:
        """What a reader must know of this grid before reading it."""
        if self._data is None or not self.launches:
            where = self._data.name if self._data else "faces"
            return [Text(_NO_GRID.format(task=self.task, where=where), "missing")]
        notes = []
        if any(place.epochs != place.row for place in self.places):
            notes.append("`for 500`: a shorter training that stands for the report's 500 epochs.")
        done = sum(place.outcome == "finished" for place in self.places)
        planned = sum(launch.planned for launch in self.launches)
        if done < len(self.places):
            notes.append(f"{done} of {planned} planned cells have finished.")
        used = ", ".join(launch.launch_id for launch in self.launches)
        return [Text(" ".join([*notes, f"Launches: {used}."]), "note")]

    def _table(self, caption: str, group: tuple[str, str], lrs: Sequence[float]) -> Table:
        here = ranked([p for p in self.places if (p.model, p.head) == group], self.metric)
        rows = tuple(
            Row(
                str(self._scaled.get(row, row)),
                tuple(self._cell(self.at(group, row, lr), here[:1]) for lr in lrs),
                (f"for {row}",) if self._scaled.get(row, row) != row else (),
            )
            for row in self.rows(group)
        )
        constant = format_value(self.metric, self.constant)
        notes = (f"Constant predictor: {constant}",) if math.isfinite(self.constant) else ()
        return Table(caption, "epochs", tuple(f"lr {format_lr(lr)}" for lr in lrs), rows, notes)

    def _cell(self, place: Place, best_here: Sequence[Place]) -> Cell:
        value, published = place.mean(self.metric), self.published(place)
        below = [] if published is None else [f"report {format_value(self.metric, published)}"]
        run = place.best(self.metric)
        href = self._store.link(run) if run else None
        if math.isnan(value):
            outcome = "no figure" if place.outcome == "finished" else place.outcome
            return Cell(outcome, tuple(below), missing=True, href=href)
        if math.isfinite(self.constant):
            below.append(beside(self.metric, value, self.constant))
        spread = place.spread(self.metric)
        if math.isfinite(spread):
            seeds = len(place.values(self.metric))
            below.insert(0, f"± {format_value(self.metric, spread)}, n = {seeds}")
        return Cell(
            format_value(self.metric, value),
            tuple(below),
            verdict=verdict(self.metric, value, published if self.is_compared else None),
            winner="all" if [place] == self._best else "table" if place in best_here else None,
            fails=math.isfinite(self.constant) and not beats(self.metric, value, self.constant),
            href=href,
        )

    def _beside_the_report(self) -> list[str]:
        sentences = []
        for metric, how in (
            (self.metric, "Beside the published figures"),
            (
                f"{self.metric}_as_reported",
                "Measured in the report's own way (BatchNorm in training mode)",
            ),
        ):
            pairs = [
                (place.mean(metric), published)
                for place in ranked(self.places, metric)
                if (published := self.published(place)) is not None
            ]
            if pairs:
                sentences.append(beside_published(self.metric, pairs, how))
        return [*sentences, *self._the_reports_winner()]

    def _the_reports_winner(self) -> list[str]:
        """Where the cell that won in the report stands here."""
        places = [
            Place(*group, lr, self._scaled.get(row, row), row)
            for group in _PUBLISHED[self.task]
            for row in EPOCHS
            for lr in LRS
        ]
        pick = max if CRITERIA[self.task].higher_is_better else min
        theirs = pick(places, key=lambda place: self.published(place) or 0.0)
        order = ranked(self.places, self.metric)
        here = self.at((theirs.model, theirs.head), theirs.row, theirs.lr)
        if here not in order:
            return [f"The report's winner ({theirs.name}) has not been measured."]
        place = order.index(here) + 1
        if place == 1:
            return [f"The report's winner ({here.name}) wins here too."]
        return [f"The report's winner ({here.name}) is number {place} of {len(order)} here."]

    def _is_begun(self, group: tuple[str, str]) -> bool:
        return any((place.model, place.head) == group for place in self.places)


def grid_blocks(grid: Grid) -> list[Block]:
    """All of a grid: findings, notes, its tables and the heatmap."""
    heatmap = grid.heatmap()
    drawn: list[Block] = [heatmap] if heatmap else []
    return [*grid.findings(), *grid.tables(), *grid.notes(), *drawn]


def beside(metric: str, value: float, constant: float) -> str:
    """Write a figure's distance from the constant predictor's: `const. −19 %`, `✗ const. ×908`.

    The cross says that the constant predictor does no worse.
    """
    words = "const." if beats(metric, value, constant) else "✗ const."
    if "psnr" in metric:
        return f"{words} {value - constant:+.1f} dB".replace("-", "−")
    ratio = value / constant if constant > 0 else math.inf
    if ratio > 2:
        return f"{words} ×{ratio:.0f}" if ratio >= 10 else f"{words} ×{ratio:.1f}"
    return f"{words} {'+' if ratio >= 1 else '−'}{percent(abs(ratio - 1))}"


def draw_heatmap(
    task: str,
    rows: Sequence[str],
    columns: Sequence[str],
    values: Mapping[str, list[list[float]]],
    *,
    stacked: bool,
) -> bytes:
    """Draw a grid's figures as PNG, for print, its panels beside or below each other."""
    metric = GRID_METRICS[task]
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "heatmap.png"
        grid_heatmap(
            metric_title(metric),
            rows,
            columns,
            values,
            metric,
            CRITERIA[task].higher_is_better,
            path,
            for_print=True,
            stacked=stacked,
        )
        return path.read_bytes()
