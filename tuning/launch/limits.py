"""What a launch may spend."""

from __future__ import annotations

import math
import time
from collections.abc import Callable

TIME_IS_UP = "the time budget is used up"


class TimeLimit:
    """Wall time, counted from when the object is made; `clock` returns seconds.

    Subclasses limit more, such as the hours of devices that trials hold.
    """

    def __init__(
        self, wall_s: float | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._clock = clock
        self._deadline = clock() + (wall_s or math.inf)

    def used_up(self) -> str | None:
        """Say which budget is used up; None while all last."""
        return TIME_IS_UP if self._clock() >= self._deadline else None

    def trial_began(self, name: str, cpus: float, gpus: float) -> None:
        """Count a trial's devices from now on."""

    def trial_ended(self, name: str) -> None:
        """Stop counting; does nothing for a trial that holds nothing."""

    def save(self) -> None:
        """Write down what was spent."""

    def ended(self, *, is_over: bool) -> None:
        """Write down whether nothing is left to train."""
