"""What the projection reads from a launch folder."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from tuning.display.formatting import format_lr
from tuning.errors import ChromatuneError, first_fault
from tuning.launch.document import read_document
from tuning.launch.folder import Launch
from tuning.launch.storage import LaunchStorage
from tuning.launch.trainings import Cell, Training
from tuning.tracking.ui.colors import cell_color
from tuning.utils.redaction import redact, redact_document

_Model = TypeVar("_Model", bound=BaseModel)


class FinishedCell(BaseModel):
    """What `cell.json` tells of a cell; times in milliseconds since 1970.

    A search's trial may have been cut short: its cell's `outcome` is then `pruned` or `stopped`.
    `kept_epoch` is the epoch of the state that was kept, where that may not be the last.
    """

    model_config = ConfigDict(extra="ignore", frozen=True)

    cell_id: str
    params: dict[str, Any]
    metrics: dict[str, float]
    parameters: int
    history: list[dict[str, Any]]
    seconds: float
    started: int
    ended: int
    device: str = ""
    hostname: str = ""
    outcome: str = "finished"
    kept_epoch: int | None = None

    @property
    def last_epoch(self) -> int:
        """The last epoch that was trained, 0 if none is known."""
        return max((int(record["epoch"]) for record in self.history), default=0)


class Failure(BaseModel):
    """What `failed.json` tells of a training that ended early."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    outcome: str
    message: str
    history: list[dict[str, Any]] = []


@dataclasses.dataclass(frozen=True)
class PlannedCell:
    """One MLflow run to be: a training read off after `epochs` epochs.

    `params` are those that say something: options that are off are left out.
    """

    cell_id: str
    training_id: str
    epochs: int
    name: str
    params: Mapping[str, str]
    color: str
    published_epochs: int | None = None
    parent_model: str | None = None

    @property
    def folder(self) -> str:
        return f"{self.training_id}/cells/{self.cell_id}"


@dataclasses.dataclass(frozen=True)
class PlannedTraining:
    """One training and its cells, the shortest first."""

    training_id: str
    cells: tuple[PlannedCell, ...]


class LaunchFolder:
    """A launch folder, read and checked: its plan, its finished cells, its failures.

    Secrets in its texts are hidden as they are read, so none can reach MLflow. Raises
    ChromatuneError if `launch.json` is missing or no document of a launch.
    """

    def __init__(self, storage: LaunchStorage) -> None:
        self.storage = storage
        self.document: Mapping[str, Any] = redact_document(read_document(storage))
        self.launch_id = str(self.document["launch_id"])
        self.kind = str(self.document["kind"])
        self.task = str(self.document["task"])
        self.dataset = str(self.document["dataset"])
        self.dataset_digest = str(self.document["dataset_digest"])
        self.experiment = str(self.document["experiment"])
        self.created = int(self.document["created"])
        self.trainings: dict[str, PlannedTraining] = {}
        self.refresh()

    @property
    def is_search(self) -> bool:
        """Whether trainings are added while the launch runs, and cut short."""
        return self.kind == "search"

    @property
    def searched(self) -> list[str]:
        """Names of the parameters that a search looks for; empty of any other launch."""
        config = self.document.get("config") or {}
        return list((config.get("search") or {}).get("space") or {})

    def refresh(self) -> None:
        """Take up trainings that are new: a search writes each down as it comes to it."""
        for training in Launch(self.storage, self.document).trainings:
            if training.training_id not in self.trainings:
                self.trainings[training.training_id] = self._plan(training)

    def cells_of(self, training: PlannedTraining) -> set[str]:
        """Ids of the training's cells that have ended: `cell.json` is written last.

        A cell of a search that was only stopped is not among them, since it may be gone on with.
        """
        present = set(self.storage.list_dir(f"{training.training_id}/cells"))
        return {
            cell.cell_id
            for cell in training.cells
            if cell.cell_id in present
            and self.storage.exists(f"{cell.folder}/cell.json")
            and not (self.is_search and self.finished_cell(cell).outcome == "stopped")
        }

    def stopped_cell(self, training: PlannedTraining) -> FinishedCell | None:
        """The cell of a search's training that was stopped; None if it was not."""
        (first, *_) = training.cells
        if not self.is_search or not self.storage.exists(f"{first.folder}/cell.json"):
            return None
        cell = self.finished_cell(first)
        return cell if cell.outcome == "stopped" else None

    def finished_cell(self, cell: PlannedCell) -> FinishedCell:
        """Read a cell's `cell.json`; ChromatuneError if it is missing or damaged."""
        return self._read(f"{cell.folder}/cell.json", FinishedCell)

    def failure(self, training_id: str) -> Failure | None:
        """Read a training's `failed.json`; None if there is none."""
        path = f"{training_id}/failed.json"
        if not self.storage.exists(path):
            return None
        failure = self._read(path, Failure)
        return failure.model_copy(update={"message": redact(failure.message)})

    def _read(self, path: str, model: type[_Model]) -> _Model:
        try:
            return model.model_validate(self.storage.read_json(path))
        except ValidationError as error:
            raise ChromatuneError(
                f"{self.storage.uri}/{path} is damaged: {first_fault(error)}"
            ) from None

    def _plan(self, training: Training) -> PlannedTraining:
        # A training from scratch beside a fine-tuning descends from nobody.
        parent = self.document.get("parent_model") if training.initial_weights else None
        # What a search looks for, off or not: only what all trials have can be compared.
        fit = training.fit
        sought = {name: getattr(fit, name) for name in self.searched if hasattr(fit, name)}
        shared = _flat({**fit.identity(), **sought})
        cells = sorted(training.cells, key=lambda cell: cell.epochs)
        planned = [
            PlannedCell(
                cell_id=cell.cell_id,
                training_id=training.training_id,
                epochs=cell.epochs,
                name=self._name(training, cell) + (" fine-tuned" if parent else ""),
                params={**shared, "epochs": str(cell.epochs)},
                color=cell_color(len(self.trainings), number, len(cells)),
                published_epochs=cell.published_epochs,
                parent_model=parent,
            )
            for number, cell in enumerate(cells)
        ]
        return PlannedTraining(training.training_id, tuple(planned))

    def _name(self, training: Training, cell: Cell) -> str:
        """Name a run by what differs first: `cnn2 lr=1e-3 epochs=300`, `tanh lr=1e-3 …`.

        MLflow's tables show some thirteen characters of a name, and of a colorizer the head
        differs. In a search much does: its trials have numbers.
        """
        fit = training.fit
        if self.is_search:
            return cell.cell_id
        rest = f"lr={format_lr(fit.lr)} epochs={cell.epochs}"
        if self.task == "colorizer":
            return f"{fit.head} {rest} {fit.model}"
        return f"{fit.model} {rest}" if fit.head == "relu" else f"{fit.model} {fit.head} {rest}"


def _flat(params: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """Flatten to the strings that MLflow keeps; what is unset or empty is left out."""
    flat: dict[str, str] = {}
    for key, value in params.items():
        if isinstance(value, Mapping):
            flat |= _flat(value, f"{prefix}{key}.")
        elif value is not None:
            flat[f"{prefix}{key}"] = str(value)
    return flat
