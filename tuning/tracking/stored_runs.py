"""What a tracking store holds, as plain data."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from data_prep import DATASETS
from tuning.tracking.ui.links import run_page

if TYPE_CHECKING:
    from tuning.tracking.registry.catalog import ModelCard

_NO_RECIPE = {"seed", "parameters", "eval_every"}


@dataclasses.dataclass(frozen=True)
class StoredCell:
    """One cell's run; `params` are MLflow's strings, among them `model`, `lr` and `epochs`.

    `metrics` are those of the cell's last epoch, or of the epoch whose state was kept.
    `parent_model` is the model that was fine-tuned, `model_id` is empty if there is no model.
    """

    run_id: str
    experiment_id: str
    name: str
    cell_id: str
    launch_id: str
    training_id: str
    kind: str
    task: str
    dataset: str
    dataset_digest: str
    outcome: str
    started: int
    params: Mapping[str, str]
    metrics: Mapping[str, float]
    published_epochs: int | None = None
    parent_model: str | None = None
    device: str = ""
    model_id: str = ""

    @property
    def model_uri(self) -> str:
        return f"models:/{self.model_id}"

    @property
    def finished(self) -> bool:
        return self.outcome == "finished"

    @property
    def model(self) -> str:
        return self.params["model"]

    @property
    def head(self) -> str:
        return self.params.get("head", "?")

    @property
    def lr(self) -> float:
        return float(self.params["lr"])

    @property
    def epochs(self) -> int:
        return int(self.params["epochs"])

    @property
    def recipe(self) -> tuple[object, ...]:
        """What must be the same for cells to differ by their seeds alone."""
        params = {name: text for name, text in self.params.items() if name not in _NO_RECIPE}
        return (self.parent_model is None, *sorted(params.items()))

    @property
    def seed(self) -> str:
        return self.params.get("seed", "?")

    def value(self, metric: str) -> float:
        """The finished cell's figure; NaN if it is not finished or has none."""
        return self.metrics.get(metric, math.nan) if self.finished else math.nan


@dataclasses.dataclass(frozen=True)
class StoredLaunch:
    """One launch: its parent run, `document` (launch.json, empty if it is gone) and its cells.

    `created` is in milliseconds since 1970, 0 if unknown; `run_id` is None if the parent run is
    gone.
    """

    launch_id: str
    kind: str
    task: str
    dataset: str
    dataset_digest: str
    created: int
    status: str
    run_id: str | None
    experiment_id: str
    document: Mapping[str, Any]
    cells: tuple[StoredCell, ...]

    @property
    def planned(self) -> int:
        """How many cells the launch was to have."""
        trainings = self.document.get("trainings") or []
        count = sum(len(training.get("cells") or ()) for training in trainings)
        return max(count, len(self.cells))

    @property
    def finished(self) -> list[StoredCell]:
        return [cell for cell in self.cells if cell.finished]

    @property
    def baseline(self) -> Mapping[str, float]:
        """The constant predictor's figures on val."""
        return self.document.get("baseline") or {}

    @property
    def photographs(self) -> bool:
        """Whether the pictures may be photographs: all but this project's synthetic datasets."""
        manifest = self.document.get("dataset_manifest") or {}
        kind = (manifest.get("source") or {}).get("kind")
        if kind is not None:
            return bool(kind != "synthetic")
        return self.dataset not in DATASETS or not DATASETS[self.dataset].synthetic

    @property
    def training_seconds(self) -> Mapping[str, float]:
        """Seconds of training on each kind of device, each training counted once."""
        longest: dict[tuple[str, str], float] = {}
        for cell in self.cells:
            seconds = cell.metrics.get("train_seconds", 0.0)
            key = (cell.training_id, cell.device or "unknown device")
            longest[key] = max(longest.get(key, 0.0), seconds)
        totals: dict[str, float] = {}
        for (_, device), seconds in longest.items():
            totals[device] = totals.get(device, 0.0) + seconds
        return {device: seconds for device, seconds in totals.items() if seconds > 0}


@dataclasses.dataclass(frozen=True)
class StoredSpeedup:
    """One measurement of a training's time; seconds are of all epochs, NaN of a missing half."""

    run_id: str
    experiment_id: str
    created: int
    dataset: str
    params: Mapping[str, str]
    cpu_seconds: float
    gpu_seconds: float
    cpu: str
    gpu: str

    @property
    def factor(self) -> float:
        """How many times faster the GPU is; NaN if a half is missing."""
        return self.cpu_seconds / self.gpu_seconds


@dataclasses.dataclass(frozen=True)
class Store:
    """Everything of this project in one tracking store, the oldest first.

    `foreign_runs` counts the runs of other programs, `broken_runs` names those of this project
    that lack required tags or parameters. `ui` is the address of the tracking UI.
    """

    uri: str
    launches: tuple[StoredLaunch, ...] = ()
    speedups: tuple[StoredSpeedup, ...] = ()
    champions: Mapping[tuple[str, str], ModelCard] = dataclasses.field(default_factory=dict)
    foreign_runs: int = 0
    broken_runs: Sequence[str] = ()
    ui: str = ""

    def link(self, run: StoredCell | StoredLaunch | StoredSpeedup) -> str | None:
        """Address of a run in the tracking UI; None if there is no such page."""
        if not self.ui or run.run_id is None:
            return None
        return f"{self.ui}/{run_page(run.experiment_id, run.run_id)}"


class Archive(Protocol):
    """What is fetched from a store only when a report needs it."""

    def history(self, run_id: str, metric: str) -> list[tuple[int, float]]:
        """A metric's values with their steps, the steps in order; empty if there are none."""
        ...

    def file(self, run_id: str, path: str) -> bytes | None:
        """The content of an artifact; None if it is not there."""
        ...

    def names(self, run_id: str, folder: str) -> list[str]:
        """Paths of the artifacts directly in `folder`, sorted."""
        ...
