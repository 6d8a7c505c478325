"""What a launch has come to, for the command that ran it to print."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from rich.console import RenderableType

from tuning.runner import LaunchOutcome


@dataclasses.dataclass(frozen=True)
class Conclusion:
    """A launch's outcome with its tables; `passed` is False where a promotion gate said no."""

    outcome: LaunchOutcome
    tables: Sequence[RenderableType]
    records: Sequence[dict[str, Any]]
    passed: bool = True

    @property
    def succeeded(self) -> bool:
        return self.outcome.complete and self.passed

    @property
    def advice(self) -> list[str]:
        """A line for everything that is missing, and what to do about it."""
        launch_id = self.outcome.launch.launch_id
        lines = [
            f"{cell.cell_id} {cell.outcome}: {cell.message}".rstrip(": ")
            for cell in self.outcome.cells
            if cell.outcome in ("failed", "diverged")
        ]
        if self.outcome.undelivered:
            lines.append(
                f"{len(self.outcome.undelivered)} finished cells are not in MLflow yet: "
                f"`chromatune resume {launch_id}` delivers them"
            )
        if self.outcome.interrupted:
            lines.append(f"stopped; go on with `chromatune resume {launch_id}`")
        return lines
