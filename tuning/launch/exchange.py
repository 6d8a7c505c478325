"""The results file of the whole report trained elsewhere: written there, imported here.

Plain dataclasses and JSON, so that the machine that writes it needs neither Ray nor MLflow. The
files of weights that it names lie beside it, in the folder `models`.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from data_prep.typed_json import read_typed
from tuning.errors import ChromatuneError

_FORMAT = "chromatune-exchange-1"
MODELS = "models"


@dataclass(frozen=True)
class ModelFile:
    """Weights that were kept: the name of their file in `models`, and its SHA-256."""

    name: str
    sha256: str


@dataclass(frozen=True)
class CellResult:
    """A finished cell. `test_metrics` are there of the winner and of what is no grid's.

    `kept_epoch` is that of the state that was kept; times are in ms since 1970.
    """

    cell_id: str
    metrics: dict[str, float]
    test_metrics: dict[str, float]
    parameters: int
    kept_epoch: int
    seconds: float
    started: int
    ended: int
    model: ModelFile | None = None


@dataclass(frozen=True)
class TrainingResult:
    """One training: `training` as `Training.to_dict` gives it, and what has come of it.

    `history` holds every epoch's record up to the last finished cell, or to its divergence.
    """

    training: dict[str, Any]
    outcome: Literal["finished", "diverged", "unfinished"]
    message: str
    history: list[dict[str, int | float]]
    cells: list[CellResult]


@dataclass(frozen=True)
class LaunchResult:
    """The trainings of one grid, of the finals or of a fine-tuning.

    `baseline` and `constant` are the constant predictor's metrics on val and test; `parent` is the
    cell that a fine-tuning started from.
    """

    kind: Literal["grid", "finals", "finetune"]
    task: Literal["regression", "colorizer"]
    dataset: str
    baseline: dict[str, float]
    constant: dict[str, float]
    parent: str | None
    trainings: list[TrainingResult]

    @property
    def name(self) -> str:
        return f"{self.kind}-{self.task}"

    @property
    def is_finished(self) -> bool:
        return all(one.outcome != "unfinished" for one in self.trainings)


@dataclass(frozen=True)
class DatasetResult:
    """Prepared pictures: their digest, and the summary of their manifest."""

    name: str
    digest: str
    manifest: dict[str, Any]


@dataclass(frozen=True)
class Run:
    """Where, when and how it was trained; `started` is in ms since 1970 and names the run."""

    started: int
    command: str
    git_commit: str | None
    device: str
    hostname: str
    hardware: dict[str, str]
    versions: dict[str, str]
    epoch_scale: float | None
    batch_size: int
    seed: int
    precision: str
    weights: str


@dataclass(frozen=True)
class Stage:
    """One call of the program: when it began, in ms since 1970, and how long it took."""

    started: int
    seconds: float


@dataclass(frozen=True)
class Results:
    """All of a results file; `complete` says whether nothing that was asked for is left."""

    run: Run
    complete: bool
    stages: list[Stage]
    datasets: list[DatasetResult]
    launches: list[LaunchResult]


def write_results(path: Path, results: Results) -> None:
    """Write the file, replacing an older one in one step."""
    write_json(path, sealed(dataclasses.asdict(results)))


def sealed(content: dict[str, Any]) -> dict[str, Any]:
    """Return the document that holds `content` with its digest, so that damage is seen."""
    return {"format": _FORMAT, "sha256": _digest(content), **content}


def write_json(path: Path, document: Any) -> None:
    """Write a JSON file that appears whole or not at all, and outlasts a crash of the machine."""
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with scratch.open("w") as stream:
        stream.write(json.dumps(document, indent=1, allow_nan=False) + "\n")
        stream.flush()
        os.fsync(stream.fileno())
    scratch.replace(path)


def read_results(path: Path) -> Results:
    """Read the file; ChromatuneError if it is damaged or none of this format."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"), parse_constant=_refuse)
    except OSError as error:
        raise ChromatuneError(f"cannot read {path}: {error.strerror}") from None
    except (ValueError, RecursionError):
        raise ChromatuneError(f"{path} is no results file: it holds no JSON") from None
    if not isinstance(content, dict) or content.pop("format", None) != _FORMAT:
        raise ChromatuneError(f"{path} is no results file of the format {_FORMAT}")
    if content.pop("sha256", None) != _digest(content):
        raise ChromatuneError(f"{path} is damaged: it is not what was written; copy it again")
    try:
        return read_typed(Results, content)
    except ValueError as error:
        raise ChromatuneError(f"{path} is none of this project's results files: {error}") from None


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no number of JSON")


def _digest(content: Any) -> str:
    canonical = json.dumps(content, sort_keys=True, allow_nan=False)
    return hashlib.sha256(canonical.encode()).hexdigest()
