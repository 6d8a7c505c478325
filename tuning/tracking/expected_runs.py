"""What the projection reads from a launch folder, and the runs that follow from it."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from tuning.display.formatting import format_lr
from tuning.launch.folder import Launch, read_document
from tuning.launch.records import (
    FINAL,
    CellRecord,
    FailureRecord,
    cell_folder,
    read_cell,
    read_failure,
)
from tuning.launch.storage import LaunchStorage
from tuning.launch.trainings import Cell, Training
from tuning.launch.trial_state import metric_of
from tuning.training.tasks import CRITERIA
from tuning.utils.redaction import redact, redact_document


@dataclasses.dataclass(frozen=True)
class PlannedCell:
    """A training after `epochs` epochs, one MLflow run; `params` lack the options that are off."""

    cell_id: str
    training_id: str
    epochs: int
    name: str
    params: Mapping[str, str]
    published_epochs: int | None = None
    parent_model: str | None = None

    @property
    def folder(self) -> str:
        return cell_folder(self.training_id, self.cell_id)


class LaunchPlan:
    """A launch folder, read and checked: the runs it plans, its finished cells, its failures.

    Secrets in its texts are hidden as they are read, so none can reach MLflow. `trainings` holds
    the cells of each training, the shortest first. `search` is the configuration of a launch whose
    trainings are added while it runs, empty for all others; `searched` names the parameters that
    it varies. Raises ChromatuneError if `launch.json` is missing or damaged.
    """

    def __init__(self, storage: LaunchStorage) -> None:
        self.storage = storage
        self.document: Mapping[str, Any] = redact_document(read_document(storage))
        self.launch_id: str = self.document["launch_id"]
        self.task: str = self.document["task"]
        self.dataset: str = self.document["dataset"]
        self.created: int = self.document["created"]
        self.baseline: Mapping[str, float] = self.document["baseline"]
        self.search = _mapping(self.document["config"], "search")
        self.searched = list(_mapping(self.search, "space"))
        self.trainings: dict[str, tuple[PlannedCell, ...]] = {}
        self.refresh()

    @property
    def metric(self) -> str:
        """The validation metric by which cells are ranked: a search's first objective."""
        return metric_of(self.document)[0]

    @property
    def cells(self) -> list[PlannedCell]:
        return [cell for cells in self.trainings.values() for cell in cells]

    def refresh(self) -> None:
        """Add the trainings that are new: a search writes each down when it starts it."""
        for training in Launch(self.storage, self.document).trainings:
            if training.training_id not in self.trainings:
                self.trainings[training.training_id] = self._plan(training)

    def ended_cells(self, training_id: str) -> set[str]:
        """Ids of the training's cells that have ended: `cell.json` is written last.

        A cell of a search that was only stopped is not among them, since it may be resumed.
        """
        present = set(self.storage.list_dir(f"{training_id}/cells"))
        return {
            cell.cell_id
            for cell in self.trainings[training_id]
            if cell.cell_id in present and self._has_ended(cell)
        }

    def stopped_cell(self, training_id: str) -> CellRecord | None:
        """The cell of a search's training that was stopped; None if it was not."""
        cell = self.trainings[training_id][0]
        record = read_cell(self.storage, training_id, cell.cell_id) if self.search else None
        return record if record and record.outcome not in FINAL else None

    def failure(self, training_id: str) -> FailureRecord | None:
        """How a training failed; None if it did not."""
        failure = read_failure(self.storage, training_id)
        return failure and failure.model_copy(update={"message": redact(failure.message)})

    def _has_ended(self, cell: PlannedCell) -> bool:
        if not self.search:
            return self.storage.exists(f"{cell.folder}/cell.json")
        record = read_cell(self.storage, cell.training_id, cell.cell_id)
        return record is not None and record.outcome in FINAL

    def _plan(self, training: Training) -> tuple[PlannedCell, ...]:
        # A training from scratch beside a fine-tuning has no parent.
        parent = self.document["parent_model"] if training.initial_weights else None
        # What a search varies, off or not: only what all trials have can be compared.
        fit = training.fit
        varied = {name: getattr(fit, name) for name in self.searched if hasattr(fit, name)}
        shared = _flat({**fit.identity(), **varied})
        return tuple(
            PlannedCell(
                cell_id=cell.cell_id,
                training_id=training.training_id,
                epochs=cell.epochs,
                name=self._name(training, cell) + (" fine-tuned" if parent else ""),
                params={**shared, "epochs": str(cell.epochs)},
                published_epochs=cell.published_epochs,
                parent_model=parent,
            )
            for cell in sorted(training.cells, key=lambda cell: cell.epochs)
        )

    def _name(self, training: Training, cell: Cell) -> str:
        """Name a run by what differs first: `cnn2 lr=1e-3 epochs=300`, `tanh lr=1e-3 …`.

        MLflow's tables show some thirteen characters of a name, and colorizers differ in the head.
        In a search many settings differ: its trials have numbers.
        """
        fit = training.fit
        if self.search:
            return cell.cell_id
        rest = f"lr={format_lr(fit.lr)} epochs={cell.epochs}"
        if CRITERIA[self.task].predicts_planes:
            return f"{fit.head} {rest} {fit.model}"
        return f"{fit.model} {rest}" if fit.head == "relu" else f"{fit.model} {fit.head} {rest}"


def _mapping(value: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    found = value.get(key)
    return found if isinstance(found, Mapping) else {}


def _flat(params: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """Flatten to the strings that MLflow keeps; what is unset or empty is left out."""
    flat: dict[str, str] = {}
    for key, value in params.items():
        if isinstance(value, Mapping):
            flat |= _flat(value, f"{prefix}{key}.")
        elif value is not None:
            flat[f"{prefix}{key}"] = str(value)
    return flat
