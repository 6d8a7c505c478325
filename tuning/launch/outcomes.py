"""What has become of a launch, read from its folder."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

from tuning.launch.attempts import last_error
from tuning.launch.folder import Launch
from tuning.launch.records import read_cell, read_failure
from tuning.launch.storage import LaunchStorage
from tuning.launch.trainings import Training


@dataclasses.dataclass(frozen=True)
class CellOutcome:
    """How one cell of a launch ended: finished, diverged, failed, stopped, in a search also pruned.

    `metrics` are the cell's own, those of `kept_epoch`; `seconds` of training it took from the
    first epoch, `ended` in ms since 1970; empty and 0 if the cell was not reached. `log` is the
    file with the traceback of a failure, if there is one.
    """

    training: Training
    cell_id: str
    epochs: int
    published_epochs: int | None
    outcome: str
    message: str
    metrics: Mapping[str, float] = dataclasses.field(default_factory=dict)
    kept_epoch: int = 0
    seconds: float = 0.0
    ended: int = 0
    log: str = ""


@dataclasses.dataclass(frozen=True)
class LaunchOutcome:
    """What a launch has come to, whether it has ended or was stopped.

    `undelivered` names what MLflow does not have yet. `is_over` says whether nothing is left to
    train, `ended_by` which budget ended the launch before.
    """

    launch: Launch
    cells: Sequence[CellOutcome]
    undelivered: Sequence[str] = ()
    is_over: bool = True
    ended_by: str | None = None

    @property
    def complete(self) -> bool:
        return not self.undelivered and all(cell.outcome == "finished" for cell in self.cells)

    @property
    def interrupted(self) -> bool:
        """Whether the user stopped it, rather than a budget."""
        return not self.is_over and self.ended_by is None


def cell_outcomes(
    launch: Launch, messages: Mapping[str, tuple[str, str]] | None = None
) -> list[CellOutcome]:
    """Read from the launch folder what has become of every cell.

    `messages` says (outcome, message) of trainings that failed without a record of it.
    """
    found = []
    for training in launch.trainings:
        outcome, message = (messages or {}).get(training.training_id, ("stopped", ""))
        failure = read_failure(launch.storage, training.training_id)
        if failure is not None:
            outcome, message = failure.outcome, failure.message
        log = last_error(launch.storage, training.training_id) if outcome == "failed" else ""
        log = log and f"{launch.storage.uri}/{log}"
        for cell in training.cells:
            place = (training, cell.cell_id, cell.epochs, cell.published_epochs)
            record = read_cell(launch.storage, training.training_id, cell.cell_id)
            if record is None:
                found.append(CellOutcome(*place, outcome, message, log=log))
                continue
            found.append(
                CellOutcome(
                    *place,
                    record.outcome,
                    "",
                    record.metrics,
                    record.kept_epoch or record.last_epoch,
                    record.seconds,
                    record.ended,
                )
            )
    return found


def has_ended(storage: LaunchStorage, training: Training) -> bool:
    """Whether nothing is left to train: a training that diverged would only diverge again."""
    is_failed = read_failure(storage, training.training_id) is not None
    return is_failed or is_finished(storage, training)


def is_finished(storage: LaunchStorage, training: Training) -> bool:
    """Whether all cells of the training were reached and none of them is that of a stopped one."""
    records = (read_cell(storage, training.training_id, cell.cell_id) for cell in training.cells)
    return all(record is not None and record.outcome != "stopped" for record in records)
