"""Tables II, IV, V and VI: finished models on the test set."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from tuning.display.formatting import (
    format_count,
    format_lr,
    format_value,
    head_title,
    higher_is_better,
    metric_heading,
)
from tuning.display.published import PublishedResult, published_results
from tuning.display.result_tables import beats, verdict
from tuning.display.table import Cell, Row, Table, Verdict
from tuning.report._document import Block, Text
from tuning.report._places import Place, gather, origin_title, own_training_first, ranked
from tuning.report._prose import beside_constant, tuned_and_scratch, who_wins
from tuning.report._selection import Data
from tuning.report._showcases import Showcase
from tuning.tracking.records import Store, StoredCell
from tuning.training.tasks import CRITERIA

_TITLES = {
    ("faces", "regression"): "Table II: regression on the test set",
    ("faces", "colorizer"): "Table IV: colorization on the test set",
    ("ncd", "regression"): "Table V: regression after transfer, test set",
    ("ncd", "colorizer"): "Table VI: colorization after transfer, test set",
}
_MOST_EXTRA_ROWS = 8


class Results:
    """Every model of a task that was measured on a dataset's test set."""

    def __init__(
        self, role: str, data: Data | None, task: str, store: Store, constant: Mapping[str, float]
    ) -> None:
        self.role = role
        self.task = task
        self.metric = f"test_{CRITERIA[task].name}"
        self._data = data
        self._store = store
        self._constant = constant
        self.published = published_results(role, task)
        self._columns = list(dict.fromkeys(name for row in self.published for name in row.metrics))
        self._published_best = {name: _best(self.published, name) for name in self._columns}
        self.places = gather(cell for cell in (data.cells(task) if data else ()) if _measured(cell))
        self._is_compared = data is not None and data.is_published

    @property
    def where(self) -> str:
        """The dataset's name: that of the original paper if there is none here."""
        return self._data.name if self._data else self.role

    @property
    def constant(self) -> float:
        """The constant predictor's score that a model must beat; NaN if the store has none."""
        return self._constant.get(self.metric, math.nan)

    @property
    def best(self) -> Place | None:
        """The champion's place; without a champion, the best on val of what was measured."""
        champion = self._store.champions.get((self.where, self.task))
        for place in self.places:
            if champion is not None and champion.run_id in {cell.run_id for cell in place.cells}:
                return place
        return next(iter(ranked(self.places, f"val_{CRITERIA[self.task].name}")), None)

    def place_of(self, row: PublishedResult) -> Place | None:
        """What was measured in the place of a published row: its own training, else the best."""
        wanted = (row.model, row.head, self.role == "ncd")
        found = [p for p in self.places if (p.model, p.head, p.tuned) == wanted]
        return own_training_first(found, self.task)

    def table(self) -> Table:
        shown = [(row, self.place_of(row)) for row in self.published]
        taken = [place for _, place in shown if place is not None]
        extra = [place for place in ranked(self.places, self.metric) if place not in taken]
        best = self._best_of_each_column([*taken, *extra])
        rows = [
            self._missing_row(row) if place is None else self._row(row, place, best)
            for row, place in shown
        ]
        rows += [self._row(None, place, best) for place in extra[:_MOST_EXTRA_ROWS]]
        notes = []
        if len(extra) > _MOST_EXTRA_ROWS:
            notes.append(f"{len(extra) - _MOST_EXTRA_ROWS} more measured models are not shown.")
        if any(metric.endswith("_as_reported") for metric in self._columns):
            notes.append("* measured as in the original paper: not the usual SSIM.")
        constant = tuple(self._constant_cell(metric) for metric in self._columns)
        rows.append(Row("constant predictor", constant, ("mean a and b of train",)))
        heads = tuple(map(metric_heading, self._columns))
        title = _TITLES[self.role, self.task]
        return Table(title, "model", heads, tuple(rows), tuple(notes), stacks=True)

    def findings(self) -> list[Text]:
        sentences = who_wins(self.places, self.metric)
        if sentences and math.isfinite(self.constant):
            sentences.append(beside_constant(self.places, self.metric, self.constant))
        if self._is_compared:
            sentences += [*self._beside_the_published(), *self._beyond_the_published()]
        sentences += tuned_and_scratch(self.places, self.metric)
        return [Text(" ".join(sentences), "finding")] if sentences else []

    def notes(self) -> list[Text]:
        if self.places:
            return []
        command = "finals" if self.role == "faces" else f"finetune {self.task}"
        text = (
            f"No {self.task} model has been measured on the test set of {self.where}: run "
            f"`chromatune {command}` or `chromatune promote {self.task}`."
        )
        return [Text(text, "missing")]

    def _missing_row(self, published: PublishedResult) -> Row:
        cells = tuple(
            Cell("not run", self._below(metric, math.nan, published.metrics), missing=True)
            for metric in self._columns
        )
        label = f"{published.model} {head_title(published.head)}"
        return Row(label, cells, (_trained("published", published.lr, published.epochs),))

    def _row(
        self, published: PublishedResult | None, place: Place, best: Mapping[str, float]
    ) -> Row:
        theirs = self._published_best if published is None else published.metrics
        cells = tuple(self._cell(metric, theirs, place, best) for metric in self._columns)
        below = [_trained("", place.lr, place.epochs), self._origin(place)]
        if published is None:
            below.append("beside the best published")
        else:
            below.append(_trained("published", published.lr, published.epochs))
        return Row(f"{place.model} {head_title(place.head)}", cells, tuple(filter(None, below)))

    def _cell(
        self, metric: str, published: Mapping[str, float], place: Place, best: Mapping[str, float]
    ) -> Cell:
        value, constant = place.mean(metric), self._constant.get(metric, math.nan)
        run = place.best(self.metric)
        href = self._store.link(run) if run else None
        below = self._below(metric, value, published)
        if math.isnan(value):
            return Cell("no value", below, missing=True, href=href)
        return Cell(
            format_value(metric, value),
            (*place.seeds(metric), *below),
            verdict=self._verdict(metric, value, published.get(metric)),
            winner="all" if value == best.get(metric) else None,
            fails=math.isfinite(constant) and not beats(metric, value, constant),
            href=href,
        )

    def _below(self, metric: str, value: float, published: Mapping[str, float]) -> tuple[str, ...]:
        lines = []
        if metric in published:
            lines.append(f"published {format_value(metric, published[metric])}")
        if math.isfinite(value) and metric in self._constant:
            constant = self._constant[metric]
            cross = "" if beats(metric, value, constant) else "✗ "
            lines.append(f"{cross}constant {format_value(metric, constant)}")
        return tuple(lines)

    def _constant_cell(self, metric: str) -> Cell:
        if metric in self._constant:
            return Cell(format_value(metric, self._constant[metric]))
        return Cell("no value" if self._constant else "not kept", missing=True)

    def _origin(self, place: Place) -> str:
        if self.role == "ncd":
            return "fine-tuned" if place.tuned else "from scratch"
        return origin_title(place.cells)

    def _verdict(self, metric: str, value: float, published: float | None) -> Verdict | None:
        return verdict(metric, value, published) if self._is_compared else None

    def _best_of_each_column(self, places: Sequence[Place]) -> dict[str, float]:
        orders = {metric: ranked(places, metric) for metric in self._columns}
        return {name: order[0].mean(name) for name, order in orders.items() if len(order) > 1}

    def _beside_the_published(self) -> list[str]:
        """Count, value by value, what is better than published."""
        verdicts = [
            self._verdict(metric, place.mean(metric), theirs)
            for row in self.published
            if (place := self.place_of(row)) is not None
            for metric, theirs in row.metrics.items()
            if place.values(metric)
        ]
        if not verdicts:
            return []
        counts = f"{verdicts.count('better')} of {len(verdicts)} published values are beaten"
        equal = f", {verdicts.count('equal')} equalled" if "equal" in verdicts else ""
        return [f"{counts}{equal} by the models of the same name."]

    def _beyond_the_published(self) -> list[str]:
        """Compare the best model with the best published values, if it is not published itself."""
        first = next(iter(ranked(self.places, self.metric)), None)
        if first is None or first in [self.place_of(row) for row in self.published]:
            return []
        verdicts = [
            self._verdict(metric, first.mean(metric), theirs)
            for metric, theirs in self._published_best.items()
            if first.values(metric)
        ]
        scratch = ", from scratch" if self.role == "ncd" and not first.tuned else ""
        return [
            f"{first.name}{scratch} is better than the best published in "
            f"{verdicts.count('better')} of {format_count(len(verdicts), 'value')}."
        ]


def results_blocks(results: Results) -> list[Block]:
    return [*results.findings(), *results.notes(), results.table()]


def constant_on_test(showcases: Sequence[Showcase]) -> Mapping[str, float]:
    """The constant predictor's metrics on test, as the newest measured model keeps them."""
    return next((found.constant for found in reversed(showcases) if found.constant), {})


def _best(published: Sequence[PublishedResult], metric: str) -> float:
    pick = max if higher_is_better(metric) else min
    return pick(row.metrics[metric] for row in published if metric in row.metrics)


def _measured(cell: StoredCell) -> bool:
    return cell.finished and any(metric.startswith("test_") for metric in cell.metrics)


def _trained(who: str, lr: float, epochs: int) -> str:
    text = f"lr {format_lr(float(f'{lr:.3g}'))}, {format_count(epochs, 'epoch')}"
    return f"{who}: {text}" if who else text
