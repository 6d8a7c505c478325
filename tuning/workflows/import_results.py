"""A results file of another machine as launches here: their folders, and their runs in MLflow."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
import re
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from data_prep import DataError
from tuning.errors import ChromatuneError, first_fault
from tuning.launch.document import DOCUMENT, FORMAT
from tuning.launch.exchange import (
    MODELS,
    CellResult,
    DatasetResult,
    LaunchResult,
    Results,
    TrainingResult,
    read_results,
)
from tuning.launch.folder import Launch
from tuning.launch.storage import LaunchStorage
from tuning.launch.trainings import Training, costliest_first
from tuning.tracking.evaluation import log_test_metrics
from tuning.tracking.projection import project_launch
from tuning.tracking.registry.versions import registered_name
from tuning.tracking.store import make_client, prepare_store
from tuning.tracking.weights import WEIGHTS
from tuning.training.tasks import CRITERIA
from tuning.utils.redaction import redact
from tuning.workflows.evaluation import launch_cells
from tuning.workflows.imported_config import imported_config

_OF_EVERY_EPOCH = {"epoch", "train_loss", "lr", "seconds", "timestamp"}
_FILE_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+=-]*\.safetensors")


@dataclasses.dataclass(frozen=True)
class Imported:
    """What has become of one launch of the file; without a `launch_id` it was left out."""

    name: str
    launch_id: str
    cells: int
    without_weights: int
    is_new: bool

    @property
    def sentence(self) -> str:
        if not self.launch_id:
            return f"{self.name}: left out, its trainings have not ended"
        state = "imported" if self.is_new else "was imported before"
        sentence = f"{self.launch_id}: {state}, {self.cells} cells"
        if self.without_weights:
            sentence += (
                f"; the weights of {self.without_weights} were not kept, so those are in the "
                f"tables but cannot be promoted"
            )
        return sentence


def import_results(file: Path, *, storage_path: str, tracking_uri: str) -> Iterator[Imported]:
    """Write every launch of `file` that has ended, and yield it; again, nothing is added.

    Raises ChromatuneError, before anything is written, if the file is damaged or foreign, weights
    beside it are not those that it names, or the store cannot be reached.
    """
    results = read_results(file)
    planned = [_Plan(one, results, file, storage_path, tracking_uri) for one in results.launches]
    prepare_store(tracking_uri)
    for plan in planned:
        if plan.result.is_finished:
            yield plan.carry_out(tracking_uri)
        else:
            yield Imported(plan.result.name, "", 0, 0, is_new=False)


class _Plan:
    """One launch of a results file, checked, and the folder that it becomes."""

    def __init__(
        self,
        result: LaunchResult,
        results: Results,
        file: Path,
        storage_path: str,
        tracking_uri: str,
    ) -> None:
        self.result = result
        self._file = file
        self._run = results.run
        self._dataset = _dataset(results, result.dataset, file)
        stamp = time.strftime("%Y%m%d-%H%M%S", time.gmtime(results.run.started / 1000))
        launch_id = f"{result.kind}-{result.task}-{result.dataset}-{stamp}-imported"
        self._storage = LaunchStorage(f"{storage_path.rstrip('/')}/{launch_id}")
        trainings = [Training.from_dict(one.training, str(file)) for one in result.trainings]
        if not trainings:
            raise _foreign(file, f"{result.name} has no trainings")
        self._results = list(zip(trainings, result.trainings, strict=True))
        in_order = trainings if result.kind == "finetune" else costliest_first(trainings)
        self._launch = Launch(
            self._storage,
            {
                "format": FORMAT,
                "launch_id": launch_id,
                "kind": result.kind,
                "task": result.task,
                "dataset": result.dataset,
                "dataset_digest": self._dataset.digest,
                "dataset_manifest": self._dataset.manifest,
                "dataset_folder": "",
                "experiment": f"{result.dataset}-{result.task}-{result.kind}",
                "command": redact(results.run.command),
                "created": results.run.started,
                "config": self._config(trainings, storage_path),
                "tracking_uri": redact(tracking_uri),
                "git_commit": results.run.git_commit,
                "versions": results.run.versions,
                "hardware": results.run.hardware,
                "tags": self._tags(),
                "baseline": result.baseline,
                "parent_model": self._parent(results),
                "imported": {
                    "file": file.name,
                    "device": results.run.device,
                    "hostname": results.run.hostname,
                },
                "trainings": [training.to_dict() for training in in_order],
            },
        )
        self._weights = {
            (training.training_id, cell.cell_id): path
            for training, outcome in self._results
            for cell in self._checked_cells(training, outcome)
            if (path := self._kept_weights(cell)) is not None
        }

    def carry_out(self, tracking_uri: str) -> Imported:
        """Write the folder unless it is there, and bring MLflow to it."""
        is_new = not self._storage.exists(DOCUMENT)
        if is_new:
            self._write_folder()
        with self._launch.held():
            project_launch(self._storage, tracking_uri)
        client = make_client(tracking_uri)
        tested = {
            cell.cell_id: cell.test_metrics
            for training in self.result.trainings
            for cell in training.cells
            if cell.test_metrics
        }
        cells = launch_cells(tracking_uri, self._launch)
        for cell_id, metrics in tested.items():
            log_test_metrics(client, cells[cell_id], metrics)
        without = sum(not cell.has_weights for cell in cells.values())
        return Imported(self.result.name, self._launch.launch_id, len(cells), without, is_new)

    def _write_folder(self) -> None:
        for training, result in self._results:
            folder = training.training_id
            if result.outcome == "diverged":
                failure = {"outcome": "diverged", "message": result.message}
                self._storage.write_json(
                    f"{folder}/failed.json", {**failure, "history": result.history}
                )
            for cell in result.cells:
                self._write_cell(training, cell, result.history)
        # What makes the folder a launch comes last.
        self._storage.write_json(DOCUMENT, dict(self._launch.document))

    def _write_cell(
        self, training: Training, cell: CellResult, history: Sequence[Mapping[str, Any]]
    ) -> None:
        folder = f"{training.training_id}/cells/{cell.cell_id}"
        epochs = next(one.epochs for one in training.cells if one.cell_id == cell.cell_id)
        weights = self._weights.get((training.training_id, cell.cell_id))
        params = {**training.fit.identity(), "epochs": epochs}
        kwargs = params.pop("model_kwargs")
        document = {
            "cell_id": cell.cell_id,
            "training_id": training.training_id,
            "task": self.result.task,
            "dataset": self.result.dataset,
            "dataset_digest": self._dataset.digest,
            "params": params | ({"model_kwargs": kwargs} if kwargs else {}),
            "metrics": cell.metrics,
            "parameters": cell.parameters,
            "history": [record for record in history if record["epoch"] <= epochs],
            "kept_epoch": cell.kept_epoch,
            "seconds": cell.seconds,
            "started": cell.started,
            "ended": cell.ended,
            "device": self._run.device,
            "hostname": self._run.hostname,
            "weights_kept": weights is not None,
        }
        if weights is not None:
            self._storage.upload_file(weights, f"{folder}/{WEIGHTS}")
        with tempfile.TemporaryDirectory() as scratch:
            local = Path(scratch) / "cell.json"
            local.write_text(json.dumps(document, indent=1, allow_nan=False))
            self._storage.upload_file(local, f"{folder}/cell.json")

    def _config(self, trainings: Sequence[Training], storage_path: str) -> dict[str, Any]:
        fits = [training.fit for training in trainings]
        settings = self._dataset.manifest.get("settings")
        try:
            config = imported_config(self.result, self._run, settings, fits, storage_path)
        except ValidationError as error:
            raise _foreign(self._file, first_fault(error)) from None
        except (DataError, TypeError) as error:
            raise _foreign(self._file, str(error)) from None
        return config.model_dump(mode="json")

    def _tags(self) -> dict[str, str]:
        tags = {"chromatune.imported": "true"}
        if self._run.epoch_scale is not None and self.result.kind == "grid":
            tags["chromatune.epoch_scale"] = f"{self._run.epoch_scale:g}"
        return tags

    def _parent(self, results: Results) -> str | None:
        """What a fine-tuning started from, as the registry would name it."""
        if self.result.parent is None:
            return None
        source = next(
            (one.dataset for one in results.launches if one.name == f"grid-{self.result.task}"),
            "faces",
        )
        return f"models:/{registered_name(source, self.result.task)}/{self.result.parent}"

    def _checked_cells(self, training: Training, result: TrainingResult) -> list[CellResult]:
        known = {cell.cell_id: cell.epochs for cell in training.cells}
        for cell in result.cells:
            if known.get(cell.cell_id, math.inf) > len(result.history):
                raise _foreign(self._file, f"{training.training_id} has no cell '{cell.cell_id}'")
            # What MLflow shows are the records; the score in one decides between cells.
            record = result.history[known[cell.cell_id] - 1]
            score = f"val_{CRITERIA[self.result.task].name}"
            if score not in cell.metrics or not cell.metrics.items() <= record.items():
                raise _foreign(self._file, f"{cell.cell_id} scored otherwise than its last epoch")
        for epoch, record in enumerate(result.history, start=1):
            if record.get("epoch") != epoch or not record.keys() >= _OF_EVERY_EPOCH:
                raise _foreign(self._file, f"{training.training_id} lacks its epoch {epoch}")
        return result.cells

    def _kept_weights(self, cell: CellResult) -> Path | None:
        """The file of a cell's weights if it lies beside the results, and is what was written."""
        if cell.model is None:
            return None
        if not _FILE_NAME.fullmatch(cell.model.name):
            raise _foreign(self._file, f"'{cell.model.name}' names no file of weights")
        path = self._file.parent / MODELS / cell.model.name
        if not path.is_file():
            return None
        with path.open("rb") as stream:
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
        if digest != cell.model.sha256:
            raise ChromatuneError(f"{path} is damaged: it is not what was written; copy it again")
        return path


def _dataset(results: Results, name: str, file: Path) -> DatasetResult:
    found = next((one for one in results.datasets if one.name == name), None)
    if found is None:
        raise _foreign(file, f"it does not say what '{name}' is")
    return found


def _foreign(file: Path, problem: str) -> ChromatuneError:
    return ChromatuneError(f"{file} is none of this project's results files: {problem}")
