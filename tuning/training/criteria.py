"""Which figure decides between two models of a task."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping


@dataclasses.dataclass(frozen=True)
class Criterion:
    """A metric without its `val_` or `test_` prefix, and which way is better."""

    name: str
    higher_is_better: bool

    def value(self, metrics: Mapping[str, float], prefix: str) -> float:
        """The figure in `metrics`, NaN if it is not there."""
        return float(metrics.get(f"{prefix}{self.name}", math.nan))

    def better(self, one: float, other: float) -> bool:
        """Whether `one` beats `other`: equal does not, and what is not finite never does."""
        if not math.isfinite(one):
            return False
        if not math.isfinite(other):
            return True
        return one > other if self.higher_is_better else one < other

    def sort_key(self, value: float) -> float:
        """Sorts the best first, what is not finite last."""
        if not math.isfinite(value):
            return math.inf
        return -value if self.higher_is_better else value


CRITERIA: Mapping[str, Criterion] = {
    "regression": Criterion("mse", higher_is_better=False),
    "colorizer": Criterion("psnr", higher_is_better=True),
}
