"""What a launch has come to, for the command that ran it to print."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import TYPE_CHECKING, ClassVar

from tuning.display.comparison_table import ResultTable
from tuning.display.grid_table import CellRow, GridTable
from tuning.launch.open_dataset import open_recorded
from tuning.launch.outcomes import LaunchOutcome

if TYPE_CHECKING:
    from tuning.tracking.registry.promotion import Promotion
    from tuning.tracking.stored_runs import StoredCell


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
        again = self.outcome.launch.resume_command()
        lines = [
            f"{cell.cell_id} {cell.outcome}: {cell.message}".rstrip(": ")
            + (cell.log and f"; log: {cell.log}")
            for cell in self.outcome.cells
            if cell.outcome in ("failed", "diverged")
        ]
        failed = any(cell.outcome == "failed" for cell in self.outcome.cells)
        if failed and self.retries_failed:
            files = [str(each["name"]) for each in self.outcome.launch.document.get("code", ())]
            new = f"; a change of {' or '.join(files)} takes a new launch" if files else ""
            lines.append(f"once the cause is fixed, {again} retries failed trials{new}")
        if self.outcome.undelivered:
            lines.append(f"{self._undelivered} not in MLflow yet: {again} writes what is missing")
        if not self.outcome.is_over:
            lines.append(f"stopped; resume with {again}")
        return lines

    @property
    def _undelivered(self) -> str:
        """Finished cells, or else the end of the launch, which is named beside them."""
        cells = set(self.outcome.undelivered) - {self.outcome.launch.storage.name}
        if not cells:
            return "the launch's end is"
        return "1 finished cell is" if len(cells) == 1 else f"{len(cells)} finished cells are"


def conclude_on_val(
    outcome: LaunchOutcome,
    tracking_uri: str | None = None,  # noqa: ARG001  (as other kinds of launches are concluded)
) -> Conclusion:
    """Lay the launch's cells out as a grid of validation metrics."""
    launch = outcome.launch
    cells = [
        CellRow(
            cell_id=cell.cell_id,
            model=cell.training.fit.model,
            head=cell.training.fit.head,
            lr=cell.training.fit.lr,
            epochs=cell.epochs,
            metrics=cell.metrics,
            outcome=cell.outcome,
            launch_id=launch.launch_id,
            published_epochs=cell.published_epochs,
            dataset=launch.document["dataset"],
        )
        for cell in outcome.cells
    ]
    return Conclusion(outcome, GridTable(launch.task, cells, launch.document["baseline"]))


def conclude_on_test(
    outcome: LaunchOutcome,
    tracking_uri: str | None,
    row_name: Callable[[StoredCell], str],
    *,
    is_published: Callable[[StoredCell], bool] = lambda _: True,
    is_candidate: Callable[[StoredCell], bool] = lambda _: False,
) -> Conclusion:
    """Measure the launch's cells on the test set, and pass a candidate through the gate.

    Cells that are not `is_published` are compared with no published result. The gate is forced if
    the launch was started with `--force`. Without a tracking store, the validation metrics are
    shown.
    """
    if tracking_uri is None:
        return conclude_on_val(outcome)
    from tuning.tracking.registry.promotion import promote
    from tuning.workflows.test_results import delivered_cells, measured_table

    task, dataset = outcome.launch.task, open_recorded(outcome.launch)
    cells = delivered_cells(tracking_uri, outcome)
    named = {row_name(cell): cell for cell in cells}
    unpublished = [name for name, cell in named.items() if not is_published(cell)]
    table = measured_table(task, dataset, named, tracking_uri, unpublished=unpublished)
    candidate = next(filter(is_candidate, cells), None)
    if candidate is None:
        return Conclusion(outcome, table)
    section = outcome.launch.document["config"].get(outcome.launch.kind, {})
    force = bool(section.get("force"))
    gate = promote(dataset, task, tracking_uri, run_id=candidate.run_id, force=force)
    return Conclusion(outcome, table, gate)
