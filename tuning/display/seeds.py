"""What several seeds of two configurations say about the gap between them."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

from tuning.display.formatting import format_count, with_unit


def over_seeds(metric: str, first: Sequence[float], second: Sequence[float]) -> str:
    """Say whether the gap between two means exceeds the spread of either over its seeds.

    The spread is the sample standard deviation. Returns "" where neither has two values.
    """
    spreads = [statistics.stdev(values) for values in (first, second) if len(values) > 1]
    if not spreads:
        return ""
    gap, spread = abs(statistics.fmean(first) - statistics.fmean(second)), max(spreads)
    verb = "exceeds" if gap > spread else "does not exceed"
    one, other = len(first), len(second)
    seeds = f"{one} seeds each" if one == other else f"{one} and {format_count(other, 'seed')}"
    return (
        f"Over {seeds}, the gap of {with_unit(metric, gap)} {verb} the spread "
        f"(standard deviation {with_unit(metric, spread)})."
    )
