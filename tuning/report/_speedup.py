"""Section VI: the same training on the CPU and on a GPU."""

from __future__ import annotations

import math

from tuning.display.formatting import format_duration
from tuning.display.table import Cell, Row, Table
from tuning.report._document import Block, Text
from tuning.tracking.stored_runs import Store, StoredSpeedup

# Section VI of the original paper: CNN2, 30 epochs.
PUBLISHED_FACTOR = 8.5


def speed_blocks(store: Store) -> list[Block]:
    """The newest whole measurement; without one, the newest half and what is missing."""
    published = f"The published factor is {PUBLISHED_FACTOR}."
    newest = max(store.speedups, key=lambda run: (run.factor > 0, run.created), default=None)
    if newest is None:
        text = f"No comparison of CPU and GPU: run `chromatune speedup`. {published}"
        return [Text(text, "missing")]
    table, factor = _table(newest, store.link(newest)), newest.factor
    if not factor > 0:  # NaN without the GPU half
        text = (
            "Only the CPU half has been measured: run `chromatune speedup` on a machine with a "
            f"GPU. {published}"
        )
        return [Text(text, "missing"), table]
    text = (
        f"The GPU is {max(factor, 1 / factor):.3g} times {'faster' if factor >= 1 else 'slower'} "
        f"than the CPU of the same machine, {factor / PUBLISHED_FACTOR:.2g} times the published "
        f"factor of {PUBLISHED_FACTOR}. Both depend on the hardware."
    )
    return [Text(text, "finding"), table]


def _table(measured: StoredSpeedup, href: str | None) -> Table:
    epochs, not_run = int(measured.params["epochs"]), Cell("not run", missing=True)
    rows = []
    for name, seconds, hardware in (
        ("CPU", measured.cpu_seconds, measured.cpu),
        ("GPU", measured.gpu_seconds, measured.gpu),
    ):
        cells = (not_run, not_run)
        if math.isfinite(seconds):
            text = format_duration(seconds) if seconds >= 60 else f"{seconds:.3g} s"
            cells = (Cell(text, href=href), Cell(f"{seconds / epochs:.3g} s"))
        rows.append(Row(name, cells, (hardware,) if hardware else ()))
    is_whole = measured.factor > 0
    text = f"{measured.factor:.3g} times" if is_whole else "no GPU"
    below = (f"published {PUBLISHED_FACTOR} times",)
    factor = Cell(text, below, missing=not is_whole, href=href if is_whole else None)
    rows.append(Row("GPU faster by", (factor, Cell("", missing=True))))
    model = measured.params["model"]
    caption = f"Training time of {model}, {epochs} epochs, on {measured.dataset}"
    return Table(caption, "device", ("all epochs", "an epoch"), tuple(rows), stacks=True)
