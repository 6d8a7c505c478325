"""Section VI: the same training on the CPU and on a GPU."""

from __future__ import annotations

import math
from collections.abc import Sequence

from tuning.display.formatting import format_duration
from tuning.display.table import Cell, Row, Table
from tuning.report._document import Block, Text
from tuning.tracking.records import Store, StoredSpeedup

# Section VI of the original report: CNN2, 30 epochs.
PUBLISHED_FACTOR = 8.5


def speed_blocks(store: Store) -> list[Block]:
    """The newest whole measurement; without one, the newest half and what is missing."""
    shown = _shown(store.speedups)
    if shown is None:
        text = "CPU and GPU have not been compared: `chromatune speedup` does that."
        return [Text(f"{text} The report's factor is {PUBLISHED_FACTOR}.", "missing")]
    model = f"{shown.params.get('model', '?')}, {shown.params.get('epochs', '?')} epochs"
    factor = shown.factor
    href = store.link(shown)
    halves = (("CPU", shown.cpu_seconds, shown.cpu), ("GPU", shown.gpu_seconds, shown.gpu))
    rows = [
        Row(name, (_time(seconds, href), _each(seconds, shown)), (hardware,) if hardware else ())
        for name, seconds, hardware in halves
    ]
    measured = Cell("no GPU", (f"report {PUBLISHED_FACTOR} times",), missing=True)
    if math.isfinite(factor):
        measured = Cell(f"{factor:.3g} times", (f"report {PUBLISHED_FACTOR} times",), href=href)
    rows.append(Row("GPU faster by", (measured, Cell("", missing=True))))
    caption = f"Training time of {model}, on {shown.dataset}"
    table = Table(caption, "device", ("all epochs", "an epoch"), tuple(rows), stacks=True)
    return [Text(_words(shown), "finding" if math.isfinite(factor) else "missing"), table]


def _shown(speedups: Sequence[StoredSpeedup]) -> StoredSpeedup | None:
    whole = [one for one in speedups if math.isfinite(one.factor)]
    return max(whole or speedups, key=lambda one: one.created, default=None)


def _words(shown: StoredSpeedup) -> str:
    if not math.isfinite(shown.factor):
        return (
            "Only the CPU half has been measured, where there was no GPU: `chromatune speedup` on "
            f"a machine with one measures both. The report's factor is {PUBLISHED_FACTOR}."
        )
    faster, share = ("faster", shown.factor) if shown.factor >= 1 else ("slower", 1 / shown.factor)
    beside = shown.factor / PUBLISHED_FACTOR
    return (
        f"The GPU is {share:.3g} times {faster} than the CPU of the same machine, {beside:.2g} "
        f"times the report's factor of {PUBLISHED_FACTOR}. Both depend on the hardware."
    )


def _time(seconds: float, href: str | None) -> Cell:
    if not math.isfinite(seconds):
        return Cell("not run", missing=True)
    text = format_duration(seconds) if seconds >= 60 else f"{seconds:.3g} s"
    return Cell(text, href=href)


def _each(seconds: float, shown: StoredSpeedup) -> Cell:
    epochs = int(shown.params.get("epochs", "0"))
    if not math.isfinite(seconds) or epochs < 1:
        return Cell("not run", missing=True)
    return Cell(f"{seconds / epochs:.3g} s")
