"""Small trainings, and trials that end as a test says."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pyarrow.fs
import pytest

from tuning.launch.checkpoint_choice import Assignment
from tuning.launch.storage import LaunchStorage
from tuning.launch.trainings import Training, make_training
from tuning.launch.trial import TrialInputs, run_trial
from tuning.training.config import FitConfig
from tuning.training.data import TaskData


@dataclasses.dataclass
class Trials:
    """Runs trials in this process and keeps their reports; those after `stop_at` stop the trial."""

    inputs: TrialInputs
    reports: list[dict[str, Any]] = dataclasses.field(default_factory=list)
    stop_at: int | None = None
    on_report: Callable[[Mapping[str, Any]], None] | None = None

    @property
    def folder(self) -> Path:
        return Path(self.inputs.launch_uri)

    @property
    def storage(self) -> LaunchStorage:
        return LaunchStorage(self.inputs.launch_uri)

    def run(self, training: Training, attempt: int = 1, checkpoints: tuple[str, ...] = ()) -> None:
        """Run an attempt; returns also if it was stopped."""
        self.reports.clear()
        try:
            run_trial(Assignment(training, attempt, checkpoints), self.inputs, "cpu", self._report)
        except SystemExit:
            assert len(self.reports) == self.stop_at

    def _report(self, report: Mapping[str, Any]) -> None:
        self.reports.append(dict(report))
        if self.on_report is not None:
            self.on_report(report)
        if len(self.reports) == self.stop_at:
            raise SystemExit

    @property
    def records(self) -> list[dict[str, Any]]:
        return [record for report in self.reports for record in report["records"]]

    @property
    def epochs(self) -> list[int]:
        return [record["epoch"] for record in self.records]

    def checkpoints(self) -> list[str]:
        found = self.folder.glob("*/checkpoint_*")
        return sorted(str(path.relative_to(self.folder)) for path in found)

    def cell(self, training: Training, epoch: int) -> dict[str, Any]:
        """The files of a cell: its record without times, and the bytes of its weights."""
        cell_id = training.cell_at(epoch).cell_id
        folder = self.folder / training.training_id / "cells" / cell_id
        record = self.storage.read_json(f"{training.training_id}/cells/{cell_id}/cell.json")
        for clocked in ("seconds", "started", "ended", "history"):
            history = record.pop(clocked)
        losses = [(epoch["train_loss"], epoch.get("val_mse")) for epoch in history]
        return {**record, "losses": losses, "weights": (folder / "model.safetensors").read_bytes()}

    def forget(self) -> None:
        """Empty the launch folder."""
        shutil.rmtree(self.folder)
        self.reports.clear()


@pytest.fixture
def trials(tmp_path: Path, make_data: Callable[..., TaskData]) -> Trials:
    """Trials of a grid."""
    return Trials(TrialInputs(str(tmp_path / "launch"), make_data("regression")))


@pytest.fixture
def judged(tmp_path: Path, make_data: Callable[..., TaskData]) -> Trials:
    """Trials of a search."""
    return Trials(TrialInputs(str(tmp_path / "launch"), make_data("regression"), "val_mse"))


@pytest.fixture(scope="session")
def make_small() -> Callable[..., Training]:
    """A function of milestones, learning rate and settings -> a training of seconds."""

    def make(*milestones: int, lr: float = 1e-3, **settings: Any) -> Training:
        fit = FitConfig(
            *("fc", "tanh", lr),
            milestones=milestones,
            image_size=64,
            batch_size=5,
            model_kwargs={"hidden": (8, 4)},
            **settings,
        )
        return make_training(fit)

    return make


@pytest.fixture(params=["local", "remote"])
def any_storage(request: pytest.FixtureRequest, tmp_path: Path) -> LaunchStorage:
    """A launch folder; a SubTreeFileSystem stands in for a bucket, whose paths are no files."""
    (tmp_path / "launch-1").mkdir()
    if request.param == "local":
        return LaunchStorage(tmp_path / "launch-1")
    bucket = pyarrow.fs.SubTreeFileSystem(str(tmp_path), pyarrow.fs.LocalFileSystem())
    return LaunchStorage("launch-1", bucket)
