"""The tables of docs/search.md, from the files that `python -m benchmarks.search` writes."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.harness import markdown

_OWN = "Chromatune"
_DEFAULT = "(default)"
_WORKERS = (1, 4, 16)
# Of a quantity, with its quartile (0 to 2): the best other method's over ours, at least.
_RATIOS = (
    ("epochs to 0.25 dB, median, best other / ours", "epochs_to_0.25", 1, 1.5),
    ("epochs to 0.25 dB, upper quartile, best other / ours", "epochs_to_0.25", 2, 1.5),
    ("seconds to 0.25 dB, 16 workers, median, best other / ours", "seconds_to_0.25_16", 1, 1.3),
)

# Median epochs to 0.5 dB without a prior over those with it.
_PRIORS = (
    (
        "epochs to 0.5 dB, without / with the prior of the other dataset",
        "Chromatune, prior: best of the other dataset",
        "≥ 1.3",
    ),
    (
        "epochs to 0.5 dB, without / with a misleading prior",
        "Chromatune, prior: worst point",
        "≥ 0.91",
    ),
)


def tables(document: Mapping[str, Any]) -> str:
    """Epochs and seconds of every method on one dataset."""
    epochs, seconds = [], []
    for row in document["methods"]:
        name = f"**{row['method']}**" if row["method"].startswith(_OWN) else row["method"]
        shown = [name, str(row["searches"])]
        for decibels in (0.5, 0.25):
            reached = f"{100 * row[f'reached_{decibels}']:.0f} %"
            shown += [_quartiles(row[f"epochs_to_{decibels}"]), reached]
        epochs.append(shown)
        found = [row.get(f"seconds_to_{db}_{n}") for db in (0.5, 0.25) for n in _WORKERS]
        seconds.append([name, *("" if times is None else _quartiles(times) for times in found)])
    within = ("epochs to 0.5 dB", "reached", "epochs to 0.25 dB", "reached")
    workers = [f"{decibels} dB, {n}" for decibels in (0.5, 0.25) for n in _WORKERS]
    return (
        f"{markdown(('method', 'searches', *within), epochs)}\n"
        "Seconds, with 1, 4 and 16 workers:\n\n"
        f"{markdown(('method', *workers), seconds)}"
    )


def bars(documents: Sequence[Mapping[str, Any]]) -> str:
    """What the default must reach, and what was measured on each dataset."""
    rows = [
        [name, f"≥ {bar:g}", *(_ratio(found["methods"], key, place) for found in documents)]
        for name, key, place, bar in _RATIOS
    ]
    reached = [f"{100 * _default(found['methods'])['reached_0.5']:.0f} %" for found in documents]
    rows.append(["searches that come within 0.5 dB in 400 epochs", "100 %", *reached])
    for name, prior, bar in _PRIORS:
        measured = []
        for found in documents:
            without = _number(_default(found["methods"])["epochs_to_0.5"][1])
            prior_row = next((row for row in found["methods"] if row["method"] == prior), None)
            given = math.nan if prior_row is None else _number(prior_row["epochs_to_0.5"][1])
            measured.append(f"{without / given:.2f} ({_shown(without)} / {_shown(given)})")
        rows.append([name, bar, *measured])
    known = [tuple(map(_number, found["epochs_with_known"])) for found in documents]
    name = "epochs to the third best of what is not known, 7 known, stopping ASHA / ours"
    rows.append([name, "≥ 2.5", *(f"{a / b:.2f} ({_shown(a)} / {_shown(b)})" for a, b in known)])
    winners = [found["winners"]["right"] for found in documents]
    shown = [f"{100 * one:.0f} % / {100 * confirmed:.0f} %" for one, confirmed in winners]
    rows.append(
        ["winner within 0.25 dB, one seed / `--confirm 3x3`, equal epochs", "higher", *shown]
    )
    return markdown(("", "bar", *(found["dataset"] for found in documents)), rows)


def libraries(document: Mapping[str, Any]) -> str:
    """The versions that were compared."""
    found = dict.fromkeys(row["library"] for row in document["methods"])
    return ", ".join(found)


def _ratio(rows: Sequence[Mapping[str, Any]], key: str, place: int) -> str:
    ours = _number(_default(rows)[key][place])
    others = [row for row in rows if not row["method"].startswith(_OWN)]
    best = min(others, key=lambda row: _number(row[key][place]))
    theirs = _number(best[key][place])
    if math.isinf(ours):
        ratio = "0" if math.isfinite(theirs) else "no method gets there"
    else:
        ratio = f"{theirs / ours:.2f}" if math.isfinite(theirs) else "∞"
    return f"{ratio} ({_shown(theirs)} of {best['method']} / {_shown(ours)})"


def _default(rows: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
    return next(
        row for row in rows if row["method"].endswith(_DEFAULT) and row["method"].startswith(_OWN)
    )


def _quartiles(values: Sequence[float | None]) -> str:
    """Median and quartiles."""
    low, median, high = map(_shown, map(_number, values))
    return f"{median} ({low} to {high})"


def _number(value: float | None) -> float:
    return math.inf if value is None else value


def _shown(value: float) -> str:
    """Never is ∞."""
    return f"{value:.0f}" if math.isfinite(value) else "∞"
