"""The best configurations of a search over several seeds, as a table."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import Any

from tuning.display.formatting import format_count, format_value, metric_heading
from tuning.display.seeds import over_seeds
from tuning.display.table import Cell, Row, Table
from tuning.search.confirmation import Confirmed


def confirmed_table(confirmed: Sequence[Confirmed]) -> Table:
    """Lay out configurations, the best mean first."""
    best, metric = confirmed[0], confirmed[0].objective.name
    rows = []
    for each in confirmed:
        values = list(each.values.values())
        spread = format_value(metric, statistics.stdev(values)) if len(values) > 1 else "–"
        texts = (
            f"± {spread}",
            ", ".join(format_value(metric, value) for value in values),
            ", ".join(map(str, each.values)),
            "–" if each is best else format_value(metric, abs(best.mean - each.mean)),
            "–" if each.p is None else f"{each.p:.3f}",
        )
        mean = Cell(format_value(metric, each.mean), winner="all" if each is best else None)
        rows.append(Row(str(each.trial), (mean, *map(Cell, texts))))
    columns = (metric_heading(metric), "spread", "each", "seeds", "gap", "p")
    return Table(
        "the best, over seeds", "trial", columns, tuple(rows), tuple(_notes(confirmed)), left=()
    )


def confirmed_record(each: Confirmed) -> dict[str, Any]:
    """JSON-able form of a configuration's seeds."""
    return {
        "trial": each.trial,
        "mean": each.mean,
        "values": {str(seed): value for seed, value in each.values.items()},
        "p": each.p,
    }


def _notes(confirmed: Sequence[Confirmed]) -> list[str]:
    best = confirmed[0]
    notes = ["★ best mean; spread: standard deviation over seeds; gap: to the best mean"]
    if len(confirmed) > 1:
        second = confirmed[1]
        values = [list(each.values.values()) for each in (best, second)]
        said = over_seeds(best.objective.name, *values)
        notes.append(f"trial {best.trial} against trial {second.trial}: {said}")
    if any(each.p is not None for each in confirmed):
        notes.append("p: of the images' errors against the best's, pairs exchanged at random")
    lacking = [each for each in confirmed if len(each.cells) < len(each.trainings)]
    if lacking:
        notes.append(f"{format_count(len(lacking), 'configuration')} without all of their seeds")
    return notes
