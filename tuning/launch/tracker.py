"""Who is told of a launch's trials while they run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol


class Tracker(Protocol):
    """Takes note of what trials report; MLflow's projection is one."""

    def observe(self, training_id: str, records: Sequence[Mapping[str, Any]]) -> None: ...

    def training_ended(self, training_id: str, outcome: str, message: str) -> None: ...
