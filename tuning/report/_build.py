"""Puts a report together from a store, in the order of the original paper."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from tuning.display.formatting import with_unit
from tuning.report._best_models import closer_blocks
from tuning.report._data_pipeline import pipeline_blocks
from tuning.report._document import Block, Report, Section, Text
from tuning.report._grids import Grid
from tuning.report._loss_curves import Curves, loss_blocks
from tuning.report._prose import difference, title_of
from tuning.report._provenance import provenance_blocks
from tuning.report._results import Results
from tuning.report._samples import sample_blocks
from tuning.report._search import search_blocks
from tuning.report._selection import Choice, choose
from tuning.report._showcases import read_showcases
from tuning.report._speedup import speed_blocks
from tuning.tracking.stored_runs import Archive, Store
from tuning.training.tasks import TASKS

_TITLE = "Image colorization: results beside the original paper"
_OWN_TITLE = "Image colorization"
# The sections of the original paper.
_NUMBERS = {
    "data": "II",
    "regression": "III",
    "colorization": "IV",
    "transfer": "V",
    "speedup": "VI",
}
LEGEND = (
    "▲ better ▼ worse = equal to the published value, as printed",
    "★ best of all ☆ best of its table",
    "✗ no better than the constant predictor: the training set's mean a and b for every picture",
)


def build_report(
    store: Store,
    archive: Archive,
    *,
    dataset: str | None = None,
    target: str | None = None,
    photographs: bool = True,
    published_curves: Curves | None = None,
) -> Report:
    """Make the whole report of a store; what the store lacks, the report names.

    See `choose` for the names of the data. Raises ChromatuneError if the store does not hold them.
    """
    choice = choose(store, dataset, target)
    parts = [
        Results(
            *(data, task, store),
            read_showcases(data.cells(task), archive, photographs=photographs),
        )
        for data in (choice.source, choice.target)
        for task in TASKS
    ]
    is_own = choice.source.is_own
    trained = [
        [
            *loss_blocks(part.data, part.task, archive, published_curves or {}),
            *(sample_blocks(part) if part.criterion.predicts_planes else ()),
            *part.blocks(),
        ]
        if part.data.launches or not part.data.is_own
        else []
        for part in parts
    ]
    numbers = dict.fromkeys(_NUMBERS, "") if is_own else _NUMBERS
    grids = [Grid(choice.source, task, store).blocks() for task in TASKS]
    closer: list[Block] = [block for part in parts for block in closer_blocks(part)]
    if not closer:
        closer = [Text("No model has been measured on a test set.", "missing")]
    sections = [
        *(
            Section(anchor, numbers[anchor], title, blocks)
            for anchor, title, blocks in (
                ("data", "Data processing and augmentation", _pipeline(choice, parts)),
                ("regression", "Regression", [*grids[0], *trained[0]]),
                ("colorization", "Colorization", [*grids[1], *trained[1]]),
                ("transfer", "Transfer learning", [*trained[2], *trained[3]]),
                ("speedup", "CPU against GPU", [] if is_own else speed_blocks(store)),
            )
        ),
        Section("closer", "", "A closer look at the best models", closer),
        Section("search", "", "Search", search_blocks(choice, archive)),
        Section("provenance", "", "Where the figures come from", provenance_blocks(choice, store)),
    ]
    return Report(
        _OWN_TITLE if is_own else _TITLE,
        f"{' and '.join(data.name for data in choice.shown) or 'no data'} · "
        f"{datetime.now(UTC):%Y-%m-%d}",
        _lead(choice, parts, store),
        [section for section in sections if section.blocks],
        LEGEND[1:] if is_own else LEGEND,
    )


def _lead(choice: Choice, parts: Sequence[Results], store: Store) -> list[Block]:
    if not store.launches:
        return [Text("This store holds no launches yet: run `chromatune reproduce`.", "missing")]
    foreign = [
        f"{data.name} instead of {data.role}"
        for data in choice.shown
        if not (data.is_published or data.is_own)
    ]
    warnings = []
    if foreign:
        text = (
            f"These are other pictures than the original paper's: {' and '.join(foreign)}. The "
            f"published values are shown for orientation and compared with nothing."
        )
        warnings.append(Text(text, "warning"))
    return [*warnings, *(text for part in parts for text in _headline(part))]


def _headline(results: Results) -> list[Text]:
    """The best model in one sentence, and the gate's decision on it."""
    place, champion, metric = results.best, results.champion, results.metric
    if place is None:
        return []
    title, value = title_of(metric), place.mean(metric)
    who = "the champion" if champion is not None else "the best on val"
    text = (
        f"{results.data.name}, {results.task}: {who}, {place.name}, has a {title} of "
        f"{with_unit(metric, value)}"
    )
    if results.constant is not None:
        text += f", {difference(metric, value, results.constant)} the constant predictor"
    if champion is not None and champion.decision:
        decision = champion.decision.replace(metric, title)
        text += f". At the gate, version {champion.version} {decision}"
    return [Text(f"{text}.", "finding")]


def _pipeline(choice: Choice, parts: Sequence[Results]) -> list[Block]:
    blocks: list[Block] = []
    for data in choice.shown:
        showcases = [found for part in parts if part.data == data for found in part.showcases]
        blocks += pipeline_blocks(data, showcases)
    return blocks or [Text("No data have been trained on.", "missing")]
