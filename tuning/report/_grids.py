"""Tables I and III and their heatmaps."""

from __future__ import annotations

from collections.abc import Sequence
from string import ascii_lowercase

from tuning.display.formatting import format_lr, format_value, head_title, metric_title
from tuning.display.grid_table import CellRow, GridTable
from tuning.display.plots import grid_heatmap
from tuning.display.published import EPOCHS, GRIDS, LRS, published_cell
from tuning.display.table import Cell, Row, Table, Winner
from tuning.report._cells import Comparison
from tuning.report._document import Block, Figure, Text
from tuning.report._places import Place, gather, ranked
from tuning.report._prose import beside_published, standings
from tuning.report._selection import Data, grid_launches
from tuning.tracking.stored_runs import Store
from tuning.training.tasks import CRITERIA

_NUMBERS = {"regression": "I", "colorizer": "III"}


class Grid:
    """A grid's places on one dataset, laid out as the original paper's table."""

    def __init__(self, data: Data, task: str, store: Store) -> None:
        self.task = task
        self.metric = f"val_{CRITERIA[task].name}"
        self.launches = grid_launches(data, task)
        cells = (cell for launch in self.launches for cell in launch.cells)
        self.places = gather(cells, one_recipe=True)
        self.order = ranked(self.places, self.metric)
        self._data = data
        self._beside = Comparison(store, data.baseline(task), data.is_published)
        self._constant = data.baseline(task).get(self.metric)
        self._published = [] if data.is_own else list(GRIDS[task])
        own = {(place.model, place.head) for place in self.places}
        self._groups = [*self._published, *sorted(own - set(self._published))]
        self._scaled = {place.row: place.epochs for place in self.places}

    def blocks(self) -> list[Block]:
        return [*self.findings(), *self.tables(), *self.notes(), *self.heatmap()]

    def tables(self) -> list[Table]:
        published = () if self._data.is_own else LRS
        lrs = sorted({*published, *(place.lr for place in self.places)}, reverse=True)
        found = []
        for letter, group in zip(ascii_lowercase, self._groups, strict=False):
            is_known = group in self._published or self._data.is_own
            beyond = "" if is_known else ", not published"
            number = f"Table {_NUMBERS[self.task]} ({letter})"
            name = f"{group[0]}, {head_title(group[1])}{beyond}"
            caption = f"{name}: {metric_title(self.metric)}"
            found.append(self._table(self._numbered(number, caption), group, lrs))
        return found

    def heatmap(self) -> list[Figure]:
        """Draw what of the grid was run; nothing if nothing of it was measured."""
        if not self.order:
            return []
        rows = [
            CellRow(
                *(place.name, place.model, place.head, place.lr, place.epochs),
                metrics={self.metric: place.mean(self.metric)},
                published_epochs=place.published_epochs,
            )
            for place in self.places
        ]
        table = "The grid" if self._data.is_own else f"Table {_NUMBERS[self.task]}"
        panels, title = GridTable(self.task, rows, {}).panels(), metric_title(self.metric)
        return [
            Figure(
                f"heatmap-{self.task}",
                f"{table} as a heatmap: dark is better.",
                grid_heatmap(title, panels, self.metric),
                f"Heatmap of {title}; best is {self.order[0].name}",
            )
        ]

    def findings(self) -> list[Text]:
        sentences = standings(self.places, self.metric, self._constant)
        if sentences and self._data.is_published:
            as_in_paper = "Measured as in the original paper (BatchNorm in training mode)"
            for how, metric in (
                ("Beside the published values", self.metric),
                (as_in_paper, f"{self.metric}_as_reported"),
            ):
                values = [
                    (self.metric, place.mean(metric), published)
                    for place in ranked(self.places, metric)
                    if (published := self._published_value(place)) is not None
                ]
                sentences += beside_published(how, values)
            sentences.append(self._the_published_winner())
        return [Text(" ".join(sentences), "finding")] if sentences else []

    def notes(self) -> list[Text]:
        """What a reader must know of this grid before reading it."""
        if not self.launches:
            run = f"run `chromatune grid {self.task}`"
            if self._data.is_own:
                return []
            return [Text(f"No {self.task} grid was run on {self._data.name}: {run}.", "missing")]
        notes = []
        if any(place.epochs != place.row for place in self.places):
            notes.append("`for 500`: a shorter training that stands for the published 500 epochs.")
        done = sum(place.outcome == "finished" for place in self.places)
        planned = sum(launch.planned for launch in self.launches)
        if done < len(self.places):
            notes.append(f"{done} of {planned} planned cells have finished.")
        used = ", ".join(launch.launch_id for launch in self.launches)
        return [Text(" ".join([*notes, f"Launches: {used}."]), "note")]

    def _numbered(self, number: str, caption: str) -> str:
        return caption if self._data.is_own else f"{number} {caption}"

    def _published_value(self, place: Place) -> float | None:
        if self._data.is_own:
            return None
        return published_cell(self.task, place.model, place.head, place.lr, place.row)

    def _at(self, group: tuple[str, str], row: int, lr: float) -> Place:
        """The place there, or an empty one that was not run."""
        for place in self.places:
            if (place.model, place.head, place.row, place.lr) == (*group, row, lr):
                return place
        return Place(*group, lr, self._scaled.get(row, row), row)

    def _table(self, caption: str, group: tuple[str, str], lrs: Sequence[float]) -> Table:
        here = [place for place in self.places if (place.model, place.head) == group]
        published = EPOCHS if group in self._published else ()
        best_here = ranked(here, self.metric)[:1]
        rows = []
        for row in sorted({*published, *(place.row for place in here)}):
            epochs = self._scaled.get(row, row)
            places = [self._at(group, row, lr) for lr in lrs]
            cells = tuple(self._cell(place, best_here) for place in places)
            rows.append(Row(str(epochs), cells, (f"for {row}",) if epochs != row else ()))
        notes = []
        if self._constant is not None:
            notes.append(f"Constant predictor: {format_value(self.metric, self._constant)}")
        heads = tuple(f"lr {format_lr(lr)}" for lr in lrs)
        return Table(caption, "epochs", heads, tuple(rows), tuple(notes))

    def _cell(self, place: Place, best_here: Sequence[Place]) -> Cell:
        winner: Winner | None = "table" if place in best_here else None
        if place in self.order[:1]:
            winner = "all"
        return self._beside.cell(place, self.metric, self._published_value(place), winner)

    def _the_published_winner(self) -> str:
        """Where the cell that won in the original paper stands here."""
        values = {
            (group, row, lr): published_cell(self.task, *group, lr, row) or 0.0
            for group in self._published
            for row in EPOCHS
            for lr in LRS
        }
        pick = max if CRITERIA[self.task].higher_is_better else min
        here = self._at(*pick(values, key=lambda place: values[place]))
        if here not in self.order:
            return f"The published winner ({here.name}) has not been measured."
        rank = self.order.index(here) + 1
        standing = "wins here too" if rank == 1 else f"is number {rank} of {len(self.order)} here"
        return f"The published winner ({here.name}) {standing}."
