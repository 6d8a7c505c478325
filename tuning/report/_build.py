"""Puts a report together from a store, in the order of the original report."""

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
from tuning.report._sample_sheets import Showcase, read_showcases
from tuning.report._samples import sample_blocks
from tuning.report._search import search_blocks
from tuning.report._selection import Choice, Data, choose
from tuning.report._speedup import speed_blocks
from tuning.tracking.records import Archive, Store

_TASKS = ("regression", "colorizer")
_TITLE = "Image colorization: measured beside the report"
LEGEND = (
    "▲ better ▼ worse = equal to the published figure, as printed",
    "★ best of all ☆ best of its table",
    "✗ no better than the constant predictor, which always says the training set's mean a and b",
)


@dataclasses.dataclass(frozen=True)
class Options:
    """What to report on, and how; see `choose` for the names of the data."""

    dataset: str | None = None
    target: str | None = None
    photographs: bool = True
    published_curves: Curves = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class _Part:
    """One task on one dataset of the original report: its finished models and their pictures."""

    role: str
    task: str
    data: Data | None
    results: Results
    showcases: Sequence[Showcase]


class _Builder:
    def __init__(self, store: Store, archive: Archive, options: Options) -> None:
        self._store = store
        self._archive = archive
        self._options = options
        self.choice = choose(store, options.dataset, options.target)
        self._grids = {task: Grid(self.choice.source, task, store) for task in _TASKS}
        self._parts = {
            (role, task): self._part(role, task, data)
            for role, data in (("faces", self.choice.source), ("ncd", self.choice.target))
            for task in _TASKS
        }

    def build(self) -> Report:
        sections = [
            Section("data", "II", "Data processing and augmentation", self._pipeline()),
            Section("regression", "III", "Regression", self._first_part("regression")),
            Section("colorization", "IV", "Colorization", self._first_part("colorizer")),
            Section("transfer", "V", "Transfer learning", self._transfer()),
            Section("speedup", "VI", "CPU against GPU", speed_blocks(self._store)),
            Section("closer", "", "A closer look at the best models", self._closer()),
        ]
        found = search_blocks(self.choice, self._archive)
        if found:
            sections.append(Section("search", "", "Search", found))
        origin = provenance_blocks(self.choice, self._store)
        sections.append(Section("provenance", "", "Where the figures come from", origin))
        return Report(_TITLE, subtitle(self.choice), self._lead(), sections, LEGEND)

    def _part(self, role: str, task: str, data: Data | None) -> _Part:
        showcases = read_showcases(data.cells(task) if data else (), self._archive)
        constant = constant_on_test(showcases)
        results = Results(role, data, task, self._store, constant)
        return _Part(role, task, data, results, showcases)

    def _lead(self) -> list[Block]:
        if not self._store.launches:
            text = "This store holds no launches yet: `chromatune reproduce` makes them."
            return [Text(text, "missing")]
        blocks: list[Block] = [*_warnings(self.choice)]
        for part in self._parts.values():
            blocks += _headline(part, self._store)
        return blocks

    def _pipeline(self) -> list[Block]:
        if not self.choice.shown:
            return [Text("No data have been trained on.", "missing")]
        blocks: list[Block] = []
        for data in self.choice.shown:
            showcases = [one for task in _TASKS for one in self._parts[data.role, task].showcases]
            blocks += pipeline_blocks(data, showcases, self._options.photographs)
        return blocks

    def _first_part(self, task: str) -> list[Block]:
        part = self._parts["faces", task]
        blocks = [*grid_blocks(self._grids[task]), *self._losses(part)]
        if task == "colorizer":
            blocks += self._samples(part, "train_samples", "samples")
        return [*blocks, *results_blocks(part.results)]

    def _transfer(self) -> list[Block]:
        blocks: list[Block] = []
        for task in _TASKS:
            part = self._parts["ncd", task]
            blocks += [*self._losses(part), *results_blocks(part.results)]
        return [
            *blocks,
            *self._samples(self._parts["ncd", "colorizer"], "samples", "train_samples"),
        ]

    def _losses(self, part: _Part) -> list[Block]:
        curves = self._options.published_curves
        return loss_blocks(part.role, part.data, part.task, self._archive, curves)

    def _samples(self, part: _Part, *sheets: str) -> list[Block]:
        return sample_blocks(part.results, sheets, part.showcases, self._options.photographs)

    def _closer(self) -> list[Block]:
        blocks: list[Block] = []
        for part in self._parts.values():
            if part.data is not None:
                blocks += closer_blocks(part.results, part.showcases, self._options.photographs)
        return blocks or [Text("No model has been measured on a test set.", "missing")]


def build_report(store: Store, archive: Archive, options: Options) -> Report:
    """Make the whole report of a store; what it does not hold, the report says.

    Raises ChromatuneError if the options name data that the store does not hold.
    """
    return _Builder(store, archive, options).build()


def subtitle(choice: Choice) -> str:
    """Name the data and the day."""
    names = " and ".join(data.name for data in choice.shown) or "no data"
    return f"{names} · {datetime.now(UTC):%Y-%m-%d}"


def _warnings(choice: Choice) -> list[Text]:
    foreign = [data for data in choice.shown if not data.is_published]
    if not foreign:
        return []
    names = " and ".join(f"{data.name} instead of {data.role}" for data in foreign)
    text = (
        f"These are other pictures than the report's: {names}. Its published figures stand beside "
        f"ours for orientation and are compared with nothing."
    )
    return [Text(text, "warning")]


def _headline(part: _Part, store: Store) -> list[Text]:
    """The champion of a part in one sentence, and what the gate said of it."""
    place, champion = part.results.best, store.champions.get((part.results.where, part.task))
    if place is None:
        return []
    metric = part.results.metric
    value, constant = place.mean(metric), part.results.constant
    who = "the champion" if champion is not None else "the best on val"
    text = (
        f"{part.results.where}, {part.task}: {who}, {place.name}, has a {title_of(metric)} of "
        f"{with_unit(metric, value)}"
    )
    if math.isfinite(constant):
        text += f", {difference(metric, value, constant)} the constant predictor"
    decision = ""
    if champion is not None and champion.decision:
        said = champion.decision.replace(metric, title_of(metric))
        decision = f" At the gate, version {champion.version} {said}."
    return [Text(f"{text}.{decision}", "finding")]
