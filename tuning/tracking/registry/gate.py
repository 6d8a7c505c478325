"""The gate's rules: what a cell must beat on the test set, and which other cell would."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence

from models import ModelError
from tuning.display.formatting import format_value
from tuning.errors import ChromatuneError
from tuning.tracking.registry.catalog import Measured, ModelCard
from tuning.tracking.stored_runs import StoredCell
from tuning.training.tasks import Criterion


@dataclasses.dataclass(frozen=True)
class Decision:
    """Whether the cell becomes champion, and why in one sentence.

    `is_useless` says that it was refused because the constant predictor is at least as good.
    """

    moved: bool
    text: str
    is_useless: bool = False


def decide(
    cell: StoredCell,
    champion: ModelCard | None,
    measured: Measured,
    note: str,
    force: bool,
    criterion: Criterion,
) -> Decision:
    """Decide by what was measured; `note` says how the champion was."""
    figures = (measured.test_metrics, measured.rival_metrics, measured.constant_metrics)
    own, theirs, constant = (criterion.value(metrics, "test_") for metrics in figures)
    figure = f"{measured.metric} {format_value(measured.metric, own)}"
    is_useless = not criterion.better(own, constant)
    against_constant = (
        f"is {'no better' if own == constant else 'worse'} than the constant predictor "
        f"({format_value(measured.metric, constant)})"
    )
    if champion is not None and champion.run_id == cell.run_id:
        but = f", but {against_constant}" if is_useless else ""
        return Decision(False, f"is already champion ({figure}){but}")
    clauses = []
    wins = champion is None
    if champion is not None and measured.rival_metrics:
        wins = criterion.better(own, theirs)
        against = f"{measured.rival} with {format_value(measured.metric, theirs)}"
        clauses.append(f"{'beats' if wins else 'does not beat'} {against}")
    elif champion is not None:
        clauses.append("cannot be compared")
    if is_useless:
        clauses.append(against_constant)
    moved = force or (wins and not is_useless)
    becomes = "becomes champion" if champion else "becomes the first champion"
    if not clauses:
        return Decision(moved, f"{becomes} with {figure}")
    is_forced = force and not (wins and not is_useless)
    start = f"{becomes}{' by force, though' if is_forced else ':'}"
    reasons = (", but " if wins else ", and ").join(clauses)
    remark = f" ({note})" if note else ""
    return Decision(
        moved,
        f"{start if moved else 'does not become champion:'} {figure} {reasons}{remark}",
        is_useless=is_useless and not moved,
    )


def passing_cell(
    cells: Iterable[StoredCell],
    measure: Callable[[StoredCell], Mapping[str, float]],
    rivals: Sequence[Mapping[str, float]],
    criterion: Criterion,
) -> StoredCell | None:
    """Return the first cell that beats all `rivals` on the test set; later ones stay unmeasured.

    Cells whose models cannot be loaded are left out.
    """
    bars = [criterion.value(metrics, "test_") for metrics in rivals]
    for cell in cells:
        with contextlib.suppress(ChromatuneError, ModelError):
            own = criterion.value(measure(cell), "test_")
            if all(criterion.better(own, bar) for bar in bars):
                return cell
    return None
