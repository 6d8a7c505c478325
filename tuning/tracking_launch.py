"""What the projection reads from a launch folder."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from tuning.display import format_lr
from tuning.errors import ChromatuneError
from tuning.redaction import redact, redact_document
from tuning.storage import LaunchStorage

_Model = TypeVar("_Model", bound=BaseModel)


class FinishedCell(BaseModel):
    """What `cell.json` tells of a finished cell; times in milliseconds since 1970."""

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


class Failure(BaseModel):
    """What `failed.json` tells of a training that ended early."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    outcome: str
    message: str
    history: list[dict[str, Any]] = []


@dataclasses.dataclass(frozen=True)
class PlannedCell:
    """One MLflow run to be: a training read off after `epochs` epochs."""

    cell_id: str
    training_id: str
    epochs: int
    name: str
    params: Mapping[str, str]
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
    ChromatuneError if `launch.json` is missing or lacks what a projection needs.
    """

    def __init__(self, storage: LaunchStorage) -> None:
        self.storage = storage
        self.document: Mapping[str, Any] = redact_document(storage.read_json("launch.json"))
        try:
            self.launch_id = str(self.document["launch_id"])
            self.kind = str(self.document["kind"])
            self.task = str(self.document["task"])
            self.dataset = str(self.document["dataset"])
            self.dataset_digest = str(self.document["dataset_digest"])
            self.experiment = str(self.document["experiment"])
            self.created = int(self.document["created"])
            self.trainings = {
                str(training["training_id"]): self._plan(training)
                for training in self.document["trainings"]
            }
        except (KeyError, TypeError, ValueError) as error:
            raise ChromatuneError(
                f"{storage.uri}/launch.json is damaged: {type(error).__name__} {error}"
            ) from None

    def cells_of(self, training: PlannedTraining) -> set[str]:
        """Ids of the training's finished cells: `cell.json` is written last."""
        present = set(self.storage.list_dir(f"{training.training_id}/cells"))
        return {
            cell.cell_id
            for cell in training.cells
            if cell.cell_id in present and self.storage.exists(f"{cell.folder}/cell.json")
        }

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
            first = error.errors()[0]
            where = ".".join(str(part) for part in first["loc"])
            raise ChromatuneError(
                f"{self.storage.uri}/{path} is damaged: '{where}' {first['msg']}"
            ) from None

    def _plan(self, training: Mapping[str, Any]) -> PlannedTraining:
        training_id = str(training["training_id"])
        shared = _flat(training["params"])
        # A training from scratch beside a fine-tuning descends from nobody.
        parent = self.document.get("parent_model") if training.get("initial_weights") else None
        cells = [
            PlannedCell(
                cell_id=str(cell["cell_id"]),
                training_id=training_id,
                epochs=int(cell["epochs"]),
                name=_run_name(self.task, training["params"], int(cell["epochs"]))
                + (" fine-tuned" if parent else ""),
                params={**shared, "epochs": str(cell["epochs"])},
                published_epochs=cell.get("published_epochs"),
                parent_model=parent,
            )
            for cell in training["cells"]
        ]
        return PlannedTraining(training_id, tuple(sorted(cells, key=lambda cell: cell.epochs)))


def _run_name(task: str, params: Mapping[str, Any], epochs: int) -> str:
    """Name a run by what differs first: `cnn2 lr=1e-3 epochs=300`, `tanh lr=1e-3 … autoencoder`.

    MLflow's tables show some thirteen characters of a name, and of a colorizer the head differs.
    """
    model, head = str(params["model"]), str(params.get("head", "relu"))
    rest = f"lr={format_lr(float(params['lr']))} epochs={epochs}"
    if task == "colorizer":
        return f"{head} {rest} {model}"
    return f"{model} {rest}" if head == "relu" else f"{model} {head} {rest}"


def _flat(params: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """Flatten to the strings that MLflow keeps; what is unset or empty is left out."""
    flat: dict[str, str] = {}
    for key, value in params.items():
        if isinstance(value, Mapping):
            flat |= _flat(value, f"{prefix}{key}.")
        elif value is not None:
            flat[f"{prefix}{key}"] = str(value)
    return flat
