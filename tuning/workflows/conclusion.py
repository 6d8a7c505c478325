"""What a launch has come to, for the command that ran it to print."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, ClassVar

from tuning.display.result_tables import ResultTable
from tuning.launch.outcomes import LaunchOutcome

if TYPE_CHECKING:
    from tuning.tracking.registry.promotion import Promotion


@dataclasses.dataclass(frozen=True)
class Conclusion:
    """A launch's outcome and its table; `promotion` is what the gate said, where one was passed."""

    # Whether resuming tries trainings again that have failed.
    retries_failed: ClassVar[bool] = True

    outcome: LaunchOutcome
    table: ResultTable
    promotion: Promotion | None = None

    @property
    def succeeded(self) -> bool:
        return self.outcome.complete and (self.promotion is None or self.promotion.passed)

    @property
    def advice(self) -> list[str]:
        """A line for everything that is missing, and what to do about it."""
        again = f"chromatune resume {self.outcome.launch.found_by}"
        lines = [
            f"{cell.cell_id} {cell.outcome}: {cell.message}".rstrip(": ")
            for cell in self.outcome.cells
            if cell.outcome in ("failed", "diverged")
        ]
        failed = any(cell.outcome == "failed" for cell in self.outcome.cells)
        if failed and self.retries_failed:
            lines.append(f"once the cause is fixed, `{again}` retries failed trials")
        if self.outcome.undelivered:
            lines.append(f"{self._undelivered} not in MLflow yet: `{again}` writes what is missing")
        if not self.outcome.is_over:
            lines.append(f"stopped; resume with `{again}`")
        return lines

    @property
    def _undelivered(self) -> str:
        """Finished cells, or else the end of the launch, which is named beside them."""
        cells = set(self.outcome.undelivered) - {self.outcome.launch.storage.name}
        if not cells:
            return "the launch's end is"
        return "1 finished cell is" if len(cells) == 1 else f"{len(cells)} finished cells are"
