"""The view of a launch where nothing but Python is installed: a line for each trial that ends."""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, Self


class PlainProgress:
    """Takes what `LaunchProgress` takes, and prints lines to stderr."""

    def __init__(self, trainings: Sequence[tuple[str, int]], metric: str) -> None:
        self._epochs = dict(trainings)
        self._metric = metric
        self._values: dict[str, float] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...

    def update(
        self, training_id: str, epoch: int, metrics: Mapping[str, Any], status: str = "running"
    ) -> None:
        value = self._values[training_id] = metrics.get(
            self._metric, self._values.get(training_id, math.nan)
        )
        if status not in ("waiting", "running"):
            self.message(
                f"{training_id} {status}: epoch {epoch}/{self._epochs.get(training_id, epoch)}, "
                f"{self._metric} {value:.4g}"
            )

    def rename(self, old: str, new: str, epochs: int) -> None:
        self._epochs.pop(old, None)
        self._epochs[new] = epochs

    def message(self, text: str) -> None:
        print(text, file=sys.stderr, flush=True)
