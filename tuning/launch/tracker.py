"""What is informed of a launch's trials while they run, besides the launch folder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


class Tracker:
    """Keeps runs of a launch somewhere else, as MLflow's projection does.

    This one tracks nothing: the launch folder can be delivered later.
    """

    delivery_timeout_s = 0.0

    def start(self) -> None:
        """Open the store and begin the launch's run; ChromatuneError if that cannot be done."""

    def observe(self, training_id: str, records: Sequence[Mapping[str, Any]]) -> None:
        """Take note of epochs; one with `milestone` names a cell whose files are complete."""

    def training_ended(self, training_id: str, outcome: str, message: str) -> None:
        """Take note of how a training ended."""

    def close(self, status: str) -> list[str]:  # noqa: ARG002
        """End the runs; return ids of what could not be delivered."""
        return []
