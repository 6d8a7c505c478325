"""Two launches side by side: what differs between them, cell by cell and in words."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tuning.display.formatting import format_lr, format_value, metric_title
from tuning.display.published import GRID_METRICS
from tuning.errors import ChromatuneError
from tuning.report._aggregate import Place, gather, head_title, ranked
from tuning.report._document import (
    Block,
    Cell,
    Figure,
    Figures,
    Report,
    Row,
    Section,
    Table,
    Text,
    Winner,
)
from tuning.report._grids import draw_heatmap, verdict
from tuning.report._loss_curves import draw_loss
from tuning.report._prose import difference, over_seeds, title_of, with_unit
from tuning.report._provenance import shortened, without_paths
from tuning.report._selection import SHORT_DIGEST, find_launch
from tuning.tracking.records import Archive, Store, StoredLaunch

_SETTINGS = ("config", "command", "git_commit", "versions", "hardware", "parent_model", "tags")
_LEGEND = (
    "▲ better ▼ worse = equal to the first launch, as printed",
    "★ best of all ☆ best of its launch",
)
# Where files lie says nothing of a result.
_PLACES = ("storage_path", "address", "root")
_LAST = "last"


def compare_launches(store: Store, archive: Archive, first: str, second: str) -> Report:
    """Make the report that sets `second` beside `first`, by their launch ids.

    One of them may be `last`: the newest other launch of the same task. Raises ChromatuneError if
    one is not in the store or they are of different tasks.
    """
    launches = _pair(store, first, second)
    first, second = (launch.launch_id for launch in launches)
    tasks = [launch.task for launch in launches]
    if tasks[0] != tasks[1]:
        raise ChromatuneError(
            f"--compare takes two launches of one task, but {first} is a {tasks[0]} and {second} a "
            f"{tasks[1]}"
        )
    metric = GRID_METRICS[tasks[0]]
    pair = [gather(launch.cells) for launch in launches]
    sections = [
        Section("differences", "", "What differs", _differences(launches)),
        Section("cells", "", "Cell by cell", [_cells(launches, pair, metric, store)]),
        Section("figures", "", "Figures", _figures(launches, pair, metric, archive)),
    ]
    title = f"Two launches: {first} and {second}"
    return Report(title, metric_title(metric), _lead(launches, pair, metric), sections, _LEGEND)


def _pair(store: Store, first: str, second: str) -> list[StoredLaunch]:
    if first == second:
        raise ChromatuneError(f"--compare takes two launches, but got {first} twice")
    named = next(find_launch(store, one) for one in (first, second) if one != _LAST)
    others = [one for one in store.launches if one.task == named.task and one != named]
    if _LAST in (first, second) and not others:
        raise ChromatuneError(
            f"--compare {_LAST}: there is no other {named.task} launch than {named.launch_id}"
        )
    return [others[-1] if one == _LAST else find_launch(store, one) for one in (first, second)]


def _compare(launches: Sequence[StoredLaunch]) -> bool:
    """Whether figures of these launches mean the same: they are of the same pictures."""
    return len({launch.dataset_digest for launch in launches}) == 1


def _lead(
    launches: Sequence[StoredLaunch], pair: Sequence[Sequence[Place]], metric: str
) -> list[Block]:
    first, second = launches
    blocks: list[Block] = []
    if not _compare(launches):
        text = (
            f"They were trained on different data ({first.dataset} and {second.dataset}, digests "
            f"{first.dataset_digest[:SHORT_DIGEST]} and {second.dataset_digest[:SHORT_DIGEST]}): "
            f"their figures do not compare."
        )
        blocks.append(Text(text, "warning"))
    empty = [
        Text(f"{launch.launch_id} has no finished cell.", "missing")
        for launch, places in zip(launches, pair, strict=True)
        if not any(place.values(metric) for place in places)
    ]
    return [*blocks, *(empty or [Text(_words(launches, pair, metric), "finding")])]


def _words(launches: Sequence[StoredLaunch], pair: Sequence[Sequence[Place]], metric: str) -> str:
    best = [ranked(places, metric)[0] for places in pair]
    if not _compare(launches):
        return " ".join(
            f"The best cell of {launch.launch_id}, {place.name}, has a {title_of(metric)} of "
            f"{with_unit(metric, place.mean(metric))}."
            for launch, place in zip(launches, best, strict=True)
        )
    order = [0, 1] if ranked(best, metric)[0] is best[0] else [1, 0]
    winner, other = (best[number] for number in order)
    own, theirs = winner.mean(metric), other.mean(metric)
    ids = [launches[number].launch_id for number in order]
    if verdict(metric, own, theirs) == "equal":
        text = f"The best cells of both have a {title_of(metric)} of {with_unit(metric, own)}."
    else:
        text = (
            f"{ids[0]} is ahead: its best cell, {winner.name}, has a {title_of(metric)} of "
            f"{with_unit(metric, own)}, {difference(metric, own, theirs)} the best of {ids[1]}, "
            f"{other.name} ({with_unit(metric, theirs)}). {over_seeds(winner, other, metric)}"
        )
    verdicts = [
        verdict(metric, two.mean(metric), one.mean(metric))
        for one, two in _matched(pair)
        if one is not None and two is not None and one.values(metric) and two.values(metric)
    ]
    if not verdicts:
        return f"{text} They share no finished cell."
    return (
        f"{text} Of {len(verdicts)} cells that both have, the second is better in "
        f"{verdicts.count('better')}, worse in {verdicts.count('worse')} and equal in "
        f"{verdicts.count('equal')}."
    )


def _cells(
    launches: Sequence[StoredLaunch],
    pair: Sequence[Sequence[Place]],
    metric: str,
    store: Store,
) -> Table:
    best = [next(iter(ranked(places, metric)), None) for places in pair]
    alike = _compare(launches)
    champion = next(iter(ranked([one for one in best if one and alike], metric)), None)
    rows = []
    for one, two in _matched(pair):
        cells = []
        for place, other, mine in ((one, None, best[0]), (two, one, best[1])):
            if place is None or not place.values(metric):
                cells.append(Cell(place.outcome if place else "not planned", missing=True))
                continue
            value, run = place.mean(metric), place.best(metric)
            beside = other.mean(metric) if other is not None and alike else math.nan
            won: Winner | None = None
            if place is mine:
                won = "all" if place is champion else "table"
            cells.append(
                Cell(
                    format_value(metric, value),
                    verdict=verdict(metric, value, beside) if math.isfinite(beside) else None,
                    winner=won,
                    href=store.link(run) if run else None,
                )
            )
        cells.append(_gap(one, two, metric) if alike else Cell("–", missing=True))
        shown = one or two
        assert shown is not None
        rows.append(Row(shown.name, tuple(cells)))
    columns = ("first", "second", "second beside first")
    return Table(metric_title(metric), "cell", columns, tuple(rows), stacks=True)


def _gap(one: Place | None, two: Place | None, metric: str) -> Cell:
    if one is None or two is None or not one.values(metric) or not two.values(metric):
        return Cell("–", missing=True)
    own, theirs = two.mean(metric), one.mean(metric)
    return Cell("equal" if own == theirs else difference(metric, own, theirs))


def _matched(
    pair: Sequence[Sequence[Place]],
) -> Iterator[tuple[Place | None, Place | None]]:
    """The same places of both launches, by model, head, learning rate, epochs and origin."""
    found: list[dict[tuple[Any, ...], Place]] = [
        {(p.model, p.head, -p.lr, p.epochs, p.tuned): p for p in places} for places in pair
    ]
    for key in sorted({*found[0], *found[1]}):
        yield found[0].get(key), found[1].get(key)


def _differences(launches: Sequence[StoredLaunch]) -> list[Block]:
    flat = [dict(_settings(launch)) for launch in launches]
    keys = list(dict.fromkeys([*flat[0], *flat[1]]))
    changed = [key for key in keys if flat[0].get(key) != flat[1].get(key)]
    rows = tuple(
        Row(key, tuple(Cell(one[key]) if key in one else Cell("–", missing=True) for one in flat))
        for key in changed
    )
    columns = tuple(launch.launch_id for launch in launches)
    same = f"{len(keys) - len(changed)} settings are the same in both."
    if not rows:
        return [Text(f"Nothing: {same}")]
    return [Table("Settings that differ", "setting", columns, rows, (same,), stacks=True)]


def _settings(launch: StoredLaunch) -> Iterator[tuple[str, str]]:
    yield "kind", launch.kind
    yield "data", f"{launch.dataset} {launch.dataset_digest[:SHORT_DIGEST]}"
    yield "cells finished", f"{len(launch.finished)} of {launch.planned}"
    yield "training", ", ".join(f"{s:.0f} s on {d}" for d, s in launch.training_seconds.items())
    for key in _SETTINGS:
        yield from _flat(key, launch.document.get(key))


def _flat(name: str, value: Any) -> Iterator[tuple[str, str]]:
    if isinstance(value, Mapping):
        for key, item in value.items():
            if key not in _PLACES:
                yield from _flat(f"{name.removeprefix('config.')}.{key}", item)
    elif value is not None:
        text = without_paths(value) if name == "command" else shortened(str(value))
        yield name.removeprefix("config."), text


def _figures(
    launches: Sequence[StoredLaunch],
    pair: Sequence[Sequence[Place]],
    metric: str,
    archive: Archive,
) -> list[Block]:
    maps, curves = [], []
    figures = [[place.mean(metric) for place in places] for places in pair if _compare(launches)]
    for number, (launch, places) in enumerate(zip(launches, pair, strict=True), start=1):
        order = ranked(places, metric)
        if not order:
            continue
        png = _heatmap(places, launch.task, beside=[one for each in figures for one in each])
        maps.append(Figure(f"heatmap-{number}", f"{launch.launch_id}.", png, "Heatmap", "half"))
        cell = order[0].newest
        caption = f"Best of {launch.launch_id}: {order[0].name}."
        png = draw_loss(cell, order[0].name, archive)
        curves.append(Figure(f"loss-{number}", caption, png, "Loss curve", "half"))
    if not maps:
        return [Text("There is nothing to draw.", "missing")]
    return [Figures(tuple(maps)), Figures(tuple(curves))]


def _heatmap(places: Sequence[Place], task: str, beside: Sequence[float]) -> bytes:
    metric = GRID_METRICS[task]
    rows = sorted({place.epochs for place in places})
    lrs = sorted({place.lr for place in places}, reverse=True)
    groups = sorted({(place.model, place.head, place.tuned) for place in places})
    at = {(p.model, p.head, p.tuned, p.epochs, p.lr): p.mean(metric) for p in places}
    values = {
        f"{group[0]}, {head_title(group[1])}{' fine-tuned' if group[2] else ''}": [
            [at.get((*group, row, lr), math.nan) for lr in lrs] for row in rows
        ]
        for group in groups
    }
    labels, columns = [str(row) for row in rows], [format_lr(lr) for lr in lrs]
    return draw_heatmap(task, labels, columns, values, stacked=True, beside=beside)
