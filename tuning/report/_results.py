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
from tuning.display.table import Cell, Row, Table
from tuning.report._aggregate import (
    Place,
    gather,
    origin_title,
    own_training_first,
    ranked,
)
from tuning.report._document import Block, Text
from tuning.report._prose import beside_constant, tuned_and_scratch, who_wins
from tuning.report._sample_sheets import Showcase
from tuning.report._selection import Data
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
        self._columns = _columns(self.published)
        self._reports_best = {metric: _best(self.published, metric) for metric in self._columns}
        measured = [cell for cell in (data.cells(task) if data else ()) if _is_measured(cell)]
        self.places = gather(measured)

    @property
    def where(self) -> str:
        """The dataset's name: that of the original report if there is none here."""
        return self._data.name if self._data else self.role

    @property
    def constant(self) -> float:
        """The constant predictor's figure that a model must beat; NaN if the store has none."""
        return self._constant.get(self.metric, math.nan)

    @property
    def best(self) -> Place | None:
        """The champion's place; without a champion, the best on val of what was measured."""
        key = (self.where, self.task)
        champion = self._store.champions.get(key)
        for place in self.places:
            if champion is not None and champion.run_id in {cell.run_id for cell in place.cells}:
                return place
        return next(iter(ranked(self.places, f"val_{CRITERIA[self.task].name}")), None)

    def place_of(self, row: PublishedResult) -> Place | None:
        """What was measured in the place of a published row: its own training, else the best."""
        tuned = self.role == "ncd"
        found = [
            place
            for place in self.places
            if (place.model, place.head, place.tuned) == (row.model, row.head, tuned)
        ]
        return own_training_first(found, self.task)

    def table(self) -> Table:
        shown = [(row, self.place_of(row)) for row in self.published]
        taken = [place for _, place in shown if place is not None]
        extra = [place for place in ranked(self.places, self.metric) if place not in taken]
        best = self._best_of_each_column([*taken, *extra])
        rows = [self._row(row, place, best) for row, place in shown]
        rows += [self._row(None, place, best) for place in extra[:_MOST_EXTRA_ROWS]]
        notes = []
        if len(extra) > _MOST_EXTRA_ROWS:
            notes.append(f"{len(extra) - _MOST_EXTRA_ROWS} more measured models are not shown.")
        if any(metric.endswith("_as_reported") for metric in self._columns):
            notes.append("* measured as the report did: not the usual SSIM.")
        headings = tuple(metric_heading(metric) for metric in self._columns)
        rows.append(self._constant_row())
        title = _TITLES[self.role, self.task]
        return Table(title, "model", headings, tuple(rows), tuple(notes), stacks=True)

    def findings(self) -> list[Text]:
        sentences = who_wins(self.places, self.metric)
        if sentences and math.isfinite(self.constant):
            sentences.append(beside_constant(self.places, self.metric, self.constant))
        sentences += self._beside_the_report()
        sentences += tuned_and_scratch(self.places, self.metric)
        return [Text(" ".join(sentences), "finding")] if sentences else []

    def notes(self) -> list[Text]:
        if self.places:
            return []
        command = "finals" if self.role == "faces" else f"finetune {self.task}"
        text = (
            f"No {self.task} model has been measured on the test set of {self.where}: "
            f"`chromatune {command}` or `chromatune promote {self.task}` does that."
        )
        return [Text(text, "missing")]

    def _row(
        self, published: PublishedResult | None, place: Place | None, best: Mapping[str, float]
    ) -> Row:
        if place is None:
            assert published is not None
            label = f"{published.model} {head_title(published.head)}"
            cells = tuple(
                Cell("not run", self._below(metric, math.nan, published.metrics), missing=True)
                for metric in self._columns
            )
            return Row(label, cells, (_trained("report", published.lr, published.epochs),))
        theirs = self._reports_best if published is None else published.metrics
        cells = tuple(self._cell(metric, theirs, place, best) for metric in self._columns)
        below = [_trained("", place.lr, place.epochs), self._origin(place)]
        if published is None:
            below.append("beside the report's best")
        else:
            below.append(_trained("report", published.lr, published.epochs))
        return Row(f"{place.model} {head_title(place.head)}", cells, tuple(filter(None, below)))

    def _cell(
        self,
        metric: str,
        published: Mapping[str, float],
        place: Place,
        best: Mapping[str, float],
    ) -> Cell:
        value = place.mean(metric)
        run = place.best(self.metric)
        href = self._store.link(run) if run else None
        below = self._below(metric, value, published)
        if math.isnan(value):
            return Cell("no figure", below, missing=True, href=href)
        spread, constant = place.spread(metric), self._constant.get(metric, math.nan)
        if math.isfinite(spread):
            seeds = f"± {format_value(metric, spread)}, n = {len(place.values(metric))}"
            below = (seeds, *below)
        theirs = published.get(metric) if self._is_compared else None
        return Cell(
            format_value(metric, value),
            below,
            verdict=verdict(metric, value, theirs),
            winner="all" if value == best.get(metric) else None,
            fails=math.isfinite(constant) and not beats(metric, value, constant),
            href=href,
        )

    def _below(self, metric: str, value: float, published: Mapping[str, float]) -> tuple[str, ...]:
        lines = []
        if metric in published:
            lines.append(f"report {format_value(metric, published[metric])}")
        if math.isfinite(value) and metric in self._constant:
            constant = self._constant[metric]
            cross = "" if beats(metric, value, constant) else "✗ "
            lines.append(f"{cross}constant {format_value(metric, constant)}")
        return tuple(lines)

    def _constant_row(self) -> Row:
        if not self._constant:
            cells = tuple(Cell("not kept", missing=True) for _ in self._columns)
            return Row("constant predictor", cells, ("mean a and b of train",))
        cells = tuple(
            Cell(format_value(metric, self._constant[metric]))
            if metric in self._constant
            else Cell("no figure", missing=True)
            for metric in self._columns
        )
        return Row("constant predictor", cells, ("mean a and b of train",))

    def _origin(self, place: Place) -> str:
        kinds = {cell.kind for cell in place.cells}
        if self.role == "ncd":
            return "fine-tuned" if place.tuned else "from scratch"
        return "" if "finals" in kinds else origin_title(place.cells[-1].kind)

    @property
    def _is_compared(self) -> bool:
        return self._data is not None and self._data.is_published

    def _best_of_each_column(self, places: Sequence[Place]) -> dict[str, float]:
        best = {}
        for metric in self._columns:
            order = ranked(places, metric)
            if len(order) > 1:
                best[metric] = order[0].mean(metric)
        return best

    def _beside_the_report(self) -> list[str]:
        """Count, figure by figure, what is better than published."""
        verdicts = [
            verdict(metric, place.mean(metric), row.metrics[metric])
            for row in self.published
            if self._is_compared and (place := self.place_of(row)) is not None
            for metric in self._columns
            if metric in row.metrics and place.values(metric)
        ]
        if not verdicts:
            return self._beyond_the_report()
        counts = [f"{verdicts.count('better')} of {len(verdicts)} published figures are beaten"]
        if "equal" in verdicts:
            counts.append(f"{verdicts.count('equal')} equalled")
        return [f"{', '.join(counts)} by the models of the same name.", *self._beyond_the_report()]

    def _beyond_the_report(self) -> list[str]:
        """Hold the best model against the best of the report, if it is none of the report's own."""
        first = next(iter(ranked(self.places, self.metric)), None)
        own = [self.place_of(row) for row in self.published]
        if first is None or first in own or not self._is_compared:
            return []
        verdicts = [
            verdict(metric, first.mean(metric), theirs)
            for metric, theirs in self._reports_best.items()
            if first.values(metric)
        ]
        scratch = self.role == "ncd" and not first.tuned
        name = f"{first.name}, from scratch" if scratch else first.name
        return [
            f"{name} is better than the report's best in {verdicts.count('better')} of "
            f"{format_count(len(verdicts), 'figure')}."
        ]


def results_blocks(results: Results) -> list[Block]:
    return [*results.findings(), *results.notes(), results.table()]


def constant_on_test(showcases: Sequence[Showcase]) -> Mapping[str, float]:
    """The constant predictor's figures on test, as the newest measured model keeps them."""
    return next((one.constant for one in reversed(showcases) if one.constant), {})


def _columns(published: Sequence[PublishedResult]) -> list[str]:
    return list(dict.fromkeys(metric for row in published for metric in row.metrics))


def _best(published: Sequence[PublishedResult], metric: str) -> float:
    pick = max if higher_is_better(metric) else min
    return pick(row.metrics[metric] for row in published if metric in row.metrics)


def _is_measured(cell: StoredCell) -> bool:
    return cell.finished and any(metric.startswith("test_") for metric in cell.metrics)


def _trained(who: str, lr: float, epochs: int) -> str:
    text = f"lr {format_lr(float(f'{lr:.3g}'))}, {epochs} {'epoch' if epochs == 1 else 'epochs'}"
    return f"{who}: {text}" if who else text
