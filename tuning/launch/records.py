"""Records in a launch folder: one for each cell that was reached, one for each failed training."""

from __future__ import annotations

from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from tuning.errors import ChromatuneError
from tuning.launch.storage import LaunchStorage
from tuning.utils.faults import describe_fault

CELL_FORMAT = 2
# How a cell can have ended so that nothing is left to train.
FINAL = ("finished", "pruned")

_Record = TypeVar("_Record", bound=BaseModel)


class CellRecord(BaseModel):
    """`cell.json`: what a training was and had reached at one of its milestones.

    `outcome` is `finished`; in a search also `pruned`, or `stopped` while the training may still be
    resumed. `metrics` are those of `kept_epoch`, the epoch of the weights that were kept. `seconds`
    is the time spent in training steps, `started` and `ended` are milliseconds since 1970. Format 1
    has no `format`, and no `outcome` in a cell of a grid.
    """

    model_config = ConfigDict(extra="ignore", frozen=True)

    format: int = 1
    cell_id: str
    training_id: str = ""
    task: str = ""
    dataset: str = ""
    dataset_digest: str = ""
    params: dict[str, Any]
    metrics: dict[str, float]
    outcome: str = "finished"
    parameters: int
    history: list[dict[str, Any]]
    kept_epoch: int | None = None
    seconds: float
    started: int
    ended: int
    device: str = ""
    hostname: str = ""
    weights_kept: bool = True

    @property
    def last_epoch(self) -> int:
        """The last epoch that was trained, 0 if none is known."""
        return max((int(record["epoch"]) for record in self.history), default=0)

    @property
    def values(self) -> dict[str, float]:
        """Everything that can be an objective of a search: metrics and costs."""
        return {
            **self.metrics,
            "parameters": float(self.parameters),
            "train_seconds": self.seconds,
        }


class FailureRecord(BaseModel):
    """`failed.json`: how a training ended (`diverged` or `failed`), and the epochs until then.

    `log` is the path of a traceback in the launch folder.
    """

    model_config = ConfigDict(extra="ignore", frozen=True)

    outcome: str
    message: str
    log: str = ""
    history: list[dict[str, Any]] = []


def cell_folder(training_id: str, cell_id: str) -> str:
    """Path of a cell's files in the launch folder."""
    return f"{training_id}/cells/{cell_id}"


def read_cell(storage: LaunchStorage, training_id: str, cell_id: str) -> CellRecord | None:
    """Read the record of a cell, which is written last; None if the cell has not been reached.

    Raises ChromatuneError if the record is damaged.
    """
    return _read(storage, f"{cell_folder(training_id, cell_id)}/cell.json", CellRecord)


def read_failure(storage: LaunchStorage, training_id: str) -> FailureRecord | None:
    """Read how a training failed; None if it did not. ChromatuneError if the record is damaged."""
    return _read(storage, f"{training_id}/failed.json", FailureRecord)


def write_failure(storage: LaunchStorage, training_id: str, failure: FailureRecord) -> None:
    """Record that a training diverged or failed."""
    storage.write_json(f"{training_id}/failed.json", failure.model_dump(mode="json"))


def _read(storage: LaunchStorage, path: str, model: type[_Record]) -> _Record | None:
    if not storage.exists(path):
        return None
    try:
        return model.model_validate(storage.read_json(path))
    except ValidationError as error:
        raise ChromatuneError(f"{storage.uri}/{path} is damaged: {describe_fault(error)}") from None
