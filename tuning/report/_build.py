"""Puts a report together from a store, in the order of the original paper."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from datetime import UTC, datetime

from tuning.display.formatting import with_unit
from tuning.report._best_models import closer_blocks
from tuning.report._data_pipeline import pipeline_blocks
from tuning.report._document import Block, Report, Section, Text
from tuning.report._grids import Grid, grid_blocks
from tuning.report._loss_curves import Curves, loss_blocks
from tuning.report._prose import difference, title_of
from tuning.report._provenance import provenance_blocks
from tuning.report._results import Results, constant_on_test, results_blocks
from tuning.report._samples import sample_blocks
from tuning.report._search import search_blocks
from tuning.report._selection import Choice, Data, choose
from tuning.report._showcases import read_showcases
from tuning.report._speedup import speed_blocks
from tuning.tracking.records import Archive, Store
from tuning.training.tasks import TASKS

_TITLE = "Image colorization: results beside the original paper"
LEGEND = (
    "▲ better ▼ worse = equal to the published value, as printed",
    "★ best of all ☆ best of its table",
    "✗ no better than the constant predictor: the training set's mean a and b for every picture",
)


@dataclasses.dataclass(frozen=True)
class Options:
    """What to report on, and how; see `choose` for the names of the data."""

    dataset: str | None = None
    target: str | None = None
    photographs: bool = True
    published_curves: Curves = dataclasses.field(default_factory=dict)


class _Part:
    """One task on one dataset of the original paper: its finished models and their pictures."""

    def __init__(
        self,
        role: str,
        data: Data | None,
        task: str,
        store: Store,
        archive: Archive,
        options: Options,
    ) -> None:
        self.data = data
        self.showcases = read_showcases(data.cells(task) if data else (), archive)
        self.results = Results(role, data, task, store, constant_on_test(self.showcases))
        self._archive = archive
        self._options = options

    def losses(self) -> list[Block]:
        results, curves = self.results, self._options.published_curves
        return loss_blocks(results.role, self.data, results.task, self._archive, curves)

    def samples(self, *sheets: str) -> list[Block]:
        return sample_blocks(self.results, sheets, self.showcases, self._options.photographs)

    def closer(self) -> list[Block]:
        if self.data is None:
            return []
        return closer_blocks(self.results, self.showcases, self._options.photographs)

    def headline(self, store: Store) -> list[Text]:
        """The best model in one sentence, and the gate's decision on it."""
        results = self.results
        place, champion = results.best, store.champions.get((results.where, results.task))
        if place is None:
            return []
        metric, value = results.metric, place.mean(results.metric)
        who = "the champion" if champion is not None else "the best on val"
        title = title_of(metric)
        text = (
            f"{results.where}, {results.task}: {who}, {place.name}, has a {title} of "
            f"{with_unit(metric, value)}"
        )
        if math.isfinite(results.constant):
            text += f", {difference(metric, value, results.constant)} the constant predictor"
        if champion is not None and champion.decision:
            decision = champion.decision.replace(metric, title)
            text += f". At the gate, version {champion.version} {decision}"
        return [Text(f"{text}.", "finding")]


def build_report(store: Store, archive: Archive, options: Options) -> Report:
    """Make the whole report of a store; what the store lacks, the report names.

    Raises ChromatuneError if the options name data that the store does not hold.
    """
    choice = choose(store, options.dataset, options.target)
    faces, ncd = (
        {task: _Part(role, data, task, store, archive, options) for task in TASKS}
        for role, data in (("faces", choice.source), ("ncd", choice.target))
    )
    grids = {task: grid_blocks(Grid(choice.source, task, store)) for task in TASKS}
    parts = [*faces.values(), *ncd.values()]

    regression, colorizer = faces["regression"], faces["colorizer"]
    first = [*grids["regression"], *regression.losses(), *results_blocks(regression.results)]
    second = [
        *grids["colorizer"],
        *colorizer.losses(),
        *colorizer.samples("train_samples", "samples"),
        *results_blocks(colorizer.results),
    ]
    transfer = [
        block for part in ncd.values() for block in (*part.losses(), *results_blocks(part.results))
    ]
    transfer += ncd["colorizer"].samples("samples", "train_samples")
    closer = [block for part in parts for block in part.closer()]
    no_models: list[Block] = [Text("No model has been measured on a test set.", "missing")]
    sections = [
        Section("data", "II", "Data processing and augmentation", _pipeline(parts, options)),
        Section("regression", "III", "Regression", first),
        Section("colorization", "IV", "Colorization", second),
        Section("transfer", "V", "Transfer learning", transfer),
        Section("speedup", "VI", "CPU against GPU", speed_blocks(store)),
        Section("closer", "", "A closer look at the best models", closer or no_models),
        Section("search", "", "Search", search_blocks(choice, archive)),
        Section("provenance", "", "Where the figures come from", provenance_blocks(choice, store)),
    ]
    return Report(
        _TITLE,
        f"{' and '.join(data.name for data in choice.shown) or 'no data'} · "
        f"{datetime.now(UTC):%Y-%m-%d}",
        _lead(choice, parts, store),
        [section for section in sections if section.blocks],
        LEGEND,
    )


def _lead(choice: Choice, parts: Sequence[_Part], store: Store) -> list[Block]:
    if not store.launches:
        return [Text("This store holds no launches yet: run `chromatune reproduce`.", "missing")]
    foreign = [
        f"{data.name} instead of {data.role}" for data in choice.shown if not data.is_published
    ]
    warnings = []
    if foreign:
        text = (
            f"These are other pictures than the original paper's: {' and '.join(foreign)}. The "
            f"published values are shown for orientation and compared with nothing."
        )
        warnings.append(Text(text, "warning"))
    return [*warnings, *(text for part in parts for text in part.headline(store))]


def _pipeline(parts: Sequence[_Part], options: Options) -> list[Block]:
    blocks: list[Block] = []
    for data in {part.results.role: part.data for part in parts}.values():
        if data is not None:
            showcases = [found for part in parts if part.data == data for found in part.showcases]
            blocks += pipeline_blocks(data, showcases, options.photographs)
    return blocks or [Text("No data have been trained on.", "missing")]
