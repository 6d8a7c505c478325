"""A search without training: scripted trials that leave the files a real one would."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import optuna
import pytest
import yaml

from tests.records import leave_cell
from tuning.config.schema import Task, TrainingConfig
from tuning.config.search import SearchConfig, SearchLaunchConfig
from tuning.launch.checkpoint_choice import Assignment
from tuning.launch.folder import Launch
from tuning.launch.storage import LaunchStorage
from tuning.search.ledger import Ledger
from tuning.search.objectives import read_objectives
from tuning.search.plan import SearchPlan
from tuning.search.space import Space
from tuning.search.space_file import read_space
from tuning.search.study import open_study
from tuning.search.study_checks import check_trials

SPACE = (Path(__file__).parent / "space.yaml").read_text()


def space_of(text: str = SPACE, task: Task = "colorizer", **changes: Any) -> Space:
    entries = yaml.safe_load(text)
    entries.update({name.replace("__", "."): entry for name, entry in changes.items()})
    return read_space(task, entries, TrainingConfig(), image_size=64)


def epoch_record(epoch: int, psnr: float) -> dict[str, Any]:
    return {
        "epoch": epoch,
        "train_loss": 0.1,
        "lr": 1e-3,
        "seconds": 2.0,
        "timestamp": 1_700_000_000_000 + 2000 * epoch,
        "val_psnr": psnr,
        "val_mse": 10 ** (-psnr / 10),
    }


@dataclasses.dataclass
class Script:
    """A search's study, launch folder and ledger; trials end as the test says."""

    folder: Path
    plan: SearchPlan
    total: int
    study_storage: str | None = None

    def __post_init__(self) -> None:
        self.launch = Launch(
            LaunchStorage(self.folder),
            {
                "launch_id": "search-1",
                "kind": "search",
                "task": "colorizer",
                "trainings": [],
                "tracking_uri": "",
            },
        )
        self.open()

    def open(self) -> Ledger:
        """Open study and ledger as a new process would."""
        self.study = open_study(
            *(self.study_storage or str(self.folder / "study.journal"), "search-1"),
            self.plan.objectives,
            {"task": "colorizer"},
            launch_id="search-1",
            is_resumed=bool(self.launch.trainings),
        )
        check_trials(self.study, "the study", self.plan.space)
        self.ledger = Ledger(self.launch, self.study, self.plan, self.total)
        self.ledger.reconcile()
        return self.ledger

    def next(self) -> Assignment:
        assignment = self.ledger.next()
        assert assignment is not None
        return assignment

    def write_cell(
        self,
        name: str,
        values: Sequence[float],
        outcome: str = "finished",
        parameters: int = 1000,
    ) -> None:
        """Leave the cell of a trial whose PSNR was `values` after its epochs."""
        history = [epoch_record(epoch, psnr) for epoch, psnr in enumerate(values, start=1)]
        best = max(history, key=lambda record: record["val_psnr"])
        metrics = {key: best[key] for key in ("val_psnr", "val_mse", "train_loss")}
        (self.folder / name / "cells" / name).mkdir(parents=True, exist_ok=True)
        weights = self.folder / name / "cells" / name / "model.safetensors"
        weights.write_text(f"weights of trial {int(name[:4])}")
        leave_cell(
            *(self.launch.storage, name, name),
            outcome=outcome,
            metrics=metrics,
            history=history,
            kept_epoch=best["epoch"],
            parameters=parameters,
            seconds=2.0 * len(history),
        )

    def end(
        self, values: Sequence[float], outcome: str = "finished", parameters: int = 1000
    ) -> None:
        """Let the next trial end without reports."""
        name = self.next().training_id
        self.write_cell(name, values, outcome, parameters)
        self.ledger.ended(name)

    def run(
        self, assignment: Assignment, values: Sequence[float], outcome: str = "finished"
    ) -> None:
        """Let a trial report `values` and end."""
        name = assignment.training_id
        best = float("-inf")
        for epoch, value in enumerate(values, start=1):
            best = max(best, value)
            self.ledger.observe(name, epoch, best)
        self.write_cell(name, values, outcome)
        self.ledger.ended(name)

    @property
    def written(self) -> dict[str, Any]:
        """Every training.json by its training's name."""
        paths = self.folder.glob("*/training.json")
        return {path.parent.name: json.loads(path.read_text()) for path in paths}

    def trial(self, number: int) -> optuna.trial.FrozenTrial:
        return self.study.get_trials()[number]


def plan_of(
    root: Path,
    space: Space | None = None,
    objectives: Sequence[str] = (),
    seed: int = 0,
    **search: Any,
) -> SearchPlan:
    """The plan of a search whose launches are under `root`, and of any space."""
    config = SearchLaunchConfig(
        storage_path=str(root / "launches"),
        training=TrainingConfig(seed=seed),
        search=SearchConfig(space=yaml.safe_load(SPACE), objectives=list(objectives), **search),
    )
    return SearchPlan(config, space or space_of(), read_objectives("colorizer", objectives), ())


@pytest.fixture
def script(tmp_path: Path) -> Callable[..., Script]:
    def make(
        *,
        space: Space | None = None,
        objectives: Sequence[str] = (),
        total: int = 6,
        folder: str = "launch",
        seed: int = 0,
        in_database: bool = False,
        **search: Any,
    ) -> Script:
        (tmp_path / folder).mkdir(exist_ok=True)
        plan = plan_of(tmp_path, space, objectives, seed, **search)
        database = f"sqlite:///{tmp_path / folder}/study.db" if in_database else None
        return Script(tmp_path / folder, plan, total, database)

    return make


@pytest.fixture(scope="session", name="space_of")
def space_of_fixture() -> Callable[..., Space]:
    """A function of changed entries (`model_kwargs__width` for a dotted name) -> Space."""
    return space_of
