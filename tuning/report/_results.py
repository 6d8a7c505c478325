"""Tables II, IV, V and VI: finished models on the test set."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from tuning.display.formatting import format_value, higher_is_better, metric_heading
from tuning.display.published import PublishedResult, published_results
from tuning.display.table import Cell, Row, Table, Winner
from tuning.report._cells import Comparison
from tuning.report._document import Block, Text
from tuning.report._places import Place, gather, published_place, ranked, trained
from tuning.report._prose import beside_published, standings, tuned_and_scratch
from tuning.report._selection import Data
from tuning.report._showcases import Showcase
from tuning.tracking.stored_runs import Store
from tuning.training.tasks import CRITERIA

_TITLES = {
    ("faces", "regression"): "Table II: regression on the test set",
    ("faces", "colorizer"): "Table IV: colorization on the test set",
    ("ncd", "regression"): "Table V: regression after transfer, test set",
    ("ncd", "colorizer"): "Table VI: colorization after transfer, test set",
}
_OWN_TITLES = {
    "regression": "Regression on the test set",
    "colorizer": "Colorization on the test set",
}
# What is shown of datasets that have no published values.
_OWN_COLUMNS = {
    "regression": ("test_mse", "test_mse_a", "test_mse_b"),
    "colorizer": ("test_psnr", "test_psnr_a", "test_psnr_b", "test_ssim_a", "test_ssim_b"),
}
_MOST_EXTRA_ROWS = 8


class Results:
    """Every model of a task that was measured on a dataset's test set, and their pictures."""

    def __init__(
        self, data: Data, task: str, store: Store, showcases: Sequence[Showcase] = ()
    ) -> None:
        self.data = data
        self.task = task
        self.criterion = CRITERIA[task]
        self.metric = f"test_{self.criterion.name}"
        self.showcases = showcases
        self.places = gather(
            cell
            for cell in data.cells(task)
            if cell.finished and any(metric.startswith("test_") for metric in cell.metrics)
        )
        self.champion = store.champions.get((data.name, task))
        self.published = published_results(data.role, task)
        columns = dict.fromkeys(name for row in self.published for name in row.metrics)
        self._published_best = {name: _best(self.published, name) for name in columns}
        self._columns = tuple(columns) or _OWN_COLUMNS[task]
        # As the newest measured model keeps them.
        constants = [found.document["constant"] for found in reversed(showcases)]
        kept: Mapping[str, float] = next(filter(None, constants), {})
        self._beside = Comparison(store, kept, data.is_published)

    @property
    def constant(self) -> float | None:
        """The constant predictor's score that a model must beat; None if the store has none."""
        return self._beside.constant.get(self.metric)

    @property
    def best(self) -> Place | None:
        """The champion's place; without a champion, the best on val of what was measured."""
        for place in self.places:
            if self.champion and self.champion.run_id in [cell.run_id for cell in place.cells]:
                return place
        return next(iter(ranked(self.places, f"val_{self.criterion.name}")), None)

    def table(self) -> Table:
        taken = [
            published_place(self.places, row) or Place(row.model, row.head, row.lr, row.epochs)
            for row in self.published
        ]
        extra = [place for place in ranked(self.places, self.metric) if place not in taken]
        pairs: list[tuple[Place, PublishedResult | None]] = [
            *zip(taken, self.published, strict=True)
        ]
        pairs += [(place, None) for place in extra[:_MOST_EXTRA_ROWS]]
        rows = [self._row(place, row, [*taken, *extra]) for place, row in pairs]
        notes = []
        if len(extra) > _MOST_EXTRA_ROWS:
            notes.append(f"{len(extra) - _MOST_EXTRA_ROWS} more measured models are not shown.")
        if any(metric.endswith("_as_reported") for metric in self._published_best):
            notes.append("* measured as in the original paper: not the usual SSIM.")
        kept = self._beside.constant
        constant = [
            Cell(format_value(metric, kept[metric]))
            if metric in kept
            else Cell("no value" if kept else "not kept", missing=True)
            for metric in self._columns
        ]
        rows.append(Row("constant predictor", tuple(constant), ("mean a and b of train",)))
        heads = tuple(map(metric_heading, self._columns))
        title = _TITLES.get((self.data.role, self.task), _OWN_TITLES[self.task])
        return Table(title, "model", heads, tuple(rows), tuple(notes), stacks=True)

    def blocks(self) -> list[Block]:
        has_table = self.places or not self.data.is_own
        return [*self.findings(), *self.notes(), *([self.table()] if has_table else [])]

    def findings(self) -> list[Text]:
        sentences = standings(self.places, self.metric, self.constant)
        if self.data.is_published:
            sentences += self._beside_the_published()
        sentences += tuned_and_scratch(self.places, self.metric)
        return [Text(" ".join(sentences), "finding")] if sentences else []

    def notes(self) -> list[Text]:
        is_first = self.data.role in ("faces", "source")
        command = "finals" if is_first else f"finetune {self.task}"
        text = (
            f"No {self.task} model has been measured on the test set of {self.data.name}: run "
            f"`chromatune {command}` or `chromatune promote {self.task}`."
        )
        return [] if self.places else [Text(text, "missing")]

    def _row(self, place: Place, published: PublishedResult | None, rivals: Iterable[Place]) -> Row:
        below = [trained(place.lr, place.epochs), place.origin] if place.cells else []
        beside = self._published_best
        if published is None and self.published:
            below.append("beside the best published")
        elif published is not None:
            below.append(f"published: {trained(published.lr, published.epochs)}")
            beside = dict(published.metrics)
        cells = []
        for metric in self._columns:
            order = ranked(rivals, metric)
            wins = len(order) > 1 and place.mean(metric) == order[0].mean(metric)
            winner: Winner | None = "all" if wins else None
            cells.append(self._beside.cell(place, metric, beside.get(metric), winner))
        return Row(place.title, tuple(cells), tuple(filter(None, below)))

    def _beside_the_published(self) -> list[str]:
        pairs = [(row.metrics, published_place(self.places, row)) for row in self.published]
        same_name = [value for pair in pairs for value in _compared(*pair)]
        sentences = beside_published("Beside the published models of the same name", same_name)
        for first in ranked(self.places, self.metric)[:1]:
            if first not in [place for _, place in pairs]:
                how = f"Of {first.name}, beside the best published values"
                sentences += beside_published(how, _compared(self._published_best, first))
        return sentences


def _compared(
    published: Mapping[str, float], place: Place | None
) -> list[tuple[str, float, float]]:
    """Metric, own and published value, of what was measured."""
    measured = [metric for metric in published if place and place.values(metric)]
    return [(metric, place.mean(metric), published[metric]) for metric in measured if place]


def _best(published: Sequence[PublishedResult], metric: str) -> float:
    pick = max if higher_is_better(metric) else min
    return pick(row.metrics[metric] for row in published if metric in row.metrics)
