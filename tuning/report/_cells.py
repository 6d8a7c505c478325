"""A cell of a result table: a value beside the published one and the constant predictor's."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping

from tuning.display.comparison_table import beats, compared
from tuning.display.formatting import format_value
from tuning.display.table import Cell, Winner
from tuning.report._places import Place
from tuning.report._prose import percent
from tuning.tracking.stored_runs import Store


@dataclasses.dataclass(frozen=True)
class Comparison:
    """What values are shown beside; published ones have no verdict unless `is_compared`.

    `constant` holds the constant predictor's metrics, as many as are known.
    """

    store: Store
    constant: Mapping[str, float]
    is_compared: bool

    def cell(
        self,
        place: Place,
        metric: str,
        published: float | None,
        winner: Winner | None = None,
    ) -> Cell:
        value, constant = place.mean(metric), self.constant.get(metric, math.nan)
        below = place.seeds(metric)
        if published is not None:
            below.append(f"published {format_value(metric, published)}")
        is_beside_constant = math.isfinite(value) and math.isfinite(constant)
        if is_beside_constant:
            below.append(beside_constant_value(metric, value, constant))
        return dataclasses.replace(
            compared(metric, value, published if self.is_compared else None, place.outcome),
            below=tuple(below),
            winner=winner,
            fails=is_beside_constant and not beats(metric, value, constant),
            href=self.store.link(place.newest) if place.cells else None,
        )


def beside_constant_value(metric: str, value: float, constant: float) -> str:
    """Write a value's distance from the constant predictor's: `const. −19 %`, `✗ const. ×908`.

    The cross says that the constant predictor does no worse.
    """
    words = "const." if beats(metric, value, constant) else "✗ const."
    if "psnr" in metric:
        return f"{words} {value - constant:+.1f} dB".replace("-", "−")
    ratio = value / constant if constant > 0 else math.inf
    if ratio > 2:
        return f"{words} ×{ratio:.0f}" if ratio >= 10 else f"{words} ×{ratio:.1f}"
    return f"{words} {'+' if ratio >= 1 else '−'}{percent(abs(ratio - 1))}"
