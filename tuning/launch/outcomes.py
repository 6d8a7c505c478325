"""What has become of a launch, read off its folder."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from tuning.errors import ChromatuneError, first_fault
from tuning.launch.folder import Launch
from tuning.launch.trainings import Cell, Training

_Model = TypeVar("_Model", bound=BaseModel)


@dataclasses.dataclass(frozen=True)
class CellOutcome:
    """How one cell of a launch ended: finished, diverged, failed, stopped, in a search also pruned.

    `metrics` are the cell's own, `seconds` of training it took from the first epoch, `ended` in ms
    since 1970; empty and 0 if there is no cell.
    """

    training: Training
    cell_id: str
    epochs: int
    published_epochs: int | None
    outcome: str
    message: str
    metrics: dict[str, float]
    seconds: float = 0.0
    ended: int = 0


@dataclasses.dataclass(frozen=True)
class LaunchOutcome:
    """What a launch has come to, whether it has ended or was stopped."""

    launch: Launch
    cells: list[CellOutcome]
    undelivered: list[str]
    out_of_time: bool = False

    @property
    def complete(self) -> bool:
        return not self.undelivered and all(cell.outcome == "finished" for cell in self.cells)

    @property
    def stopped(self) -> bool:
        """Whether something is left to train, so that resuming the launch goes on with it."""
        return any(cell.outcome == "stopped" for cell in self.cells)

    @property
    def interrupted(self) -> bool:
        """Whether it was the user who stopped it, rather than its time budget."""
        return self.stopped and not self.out_of_time


def cell_outcomes(launch: Launch, messages: Mapping[str, tuple[str, str]]) -> list[CellOutcome]:
    """Read off the launch folder, which is the truth, what has become of every cell."""
    found = []
    for training in launch.trainings:
        outcome, message = messages.get(training.training_id, ("stopped", ""))
        if launch.storage.exists(_failure_file(training)):
            failure = _read(launch, _failure_file(training), _Failure)
            outcome, message = failure.outcome, failure.message
        for cell in training.cells:
            path = _cell_file(training, cell)
            is_there = launch.storage.exists(path)
            document = _read(launch, path, _Cell) if is_there else _Cell()
            found.append(
                CellOutcome(
                    training,
                    cell.cell_id,
                    cell.epochs,
                    cell.published_epochs,
                    document.outcome if is_there else outcome,
                    "" if is_there else message,
                    document.metrics,
                    document.seconds,
                    document.ended,
                )
            )
    return found


def has_ended(launch: Launch, training: Training) -> bool:
    """Whether there is nothing more to train: what has diverged would only diverge again."""
    return is_finished(launch, training) or launch.storage.exists(_failure_file(training))


def is_finished(launch: Launch, training: Training) -> bool:
    """Whether all cells of the training are there, none of a state that was only stopped at."""
    for cell in training.cells:
        path = _cell_file(training, cell)
        if not launch.storage.exists(path):
            return False
        if launch.kind == "search" and _read(launch, path, _Cell).outcome == "stopped":
            return False
    return True


def first_missing(launch: Launch, training: Training) -> int:
    """Epoch of the training's first cell that is not there; ValueError if all are."""
    return min(
        cell.epochs
        for cell in training.cells
        if not launch.storage.exists(_cell_file(training, cell))
    )


def run_status(cells: list[CellOutcome]) -> str:
    """Status of the parent run in MLflow: that of its worst cell."""
    outcomes = {cell.outcome for cell in cells}
    if "stopped" in outcomes:
        return "KILLED"
    return "FINISHED" if outcomes == {"finished"} else "FAILED"


class _Cell(BaseModel):
    """What counts here of `cell.json`."""

    outcome: str = "finished"
    metrics: dict[str, float] = {}
    seconds: float = 0.0
    ended: int = 0


class _Failure(BaseModel):
    """What counts here of `failed.json`."""

    outcome: str
    message: str


def _read(launch: Launch, path: str, model: type[_Model]) -> _Model:
    try:
        return model.model_validate(launch.storage.read_json(path))
    except ValidationError as error:
        where = f"{launch.storage.uri}/{path}"
        raise ChromatuneError(f"{where} is damaged: {first_fault(error)}") from None


def _failure_file(training: Training) -> str:
    return f"{training.training_id}/failed.json"


def _cell_file(training: Training, cell: Cell) -> str:
    """Path of what is written last of a cell, so that it stands for the whole."""
    return f"{training.training_id}/cells/{cell.cell_id}/cell.json"
