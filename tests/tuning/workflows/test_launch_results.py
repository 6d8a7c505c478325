"""What a command says of a launch whose cells MLflow does not have yet."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from data_prep import PreparedDataset, PrepareSettings, prepare
from tests.records import leave_cell
from tuning.config.schema import (
    DataConfig,
    FinalsLaunchConfig,
    FinetuneLaunchConfig,
    TrainLaunchConfig,
)
from tuning.launch.folder import create_launch
from tuning.launch.outcomes import LaunchOutcome, cell_outcomes
from tuning.launch.trainings import make_training
from tuning.training.config import FitConfig
from tuning.workflows.resume import conclude

NOBODY = "http://127.0.0.1:1"
TRAIN = {"model": "cnn1", "lr": 1e-3, "epochs": 2, "promote": True}


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> PreparedDataset:
    settings = PrepareSettings(dataset="synthetic-faces", size=64, count=20, augment=1)
    return prepare(settings, tmp_path_factory.mktemp("data")).dataset


@pytest.mark.parametrize(
    ("kind", "config", "section"),
    [
        ("finals", FinalsLaunchConfig, {}),
        ("finetune", FinetuneLaunchConfig, {}),
        ("train", TrainLaunchConfig, {"train": TRAIN}),
    ],
)
def test_while_mlflow_is_away_nothing_is_measured_and_the_way_on_is_told(
    kind: str, config: Any, section: dict[str, Any], prepared: PreparedDataset, tmp_path: Path
) -> None:
    data = DataConfig(
        dataset="synthetic-faces", root=prepared.folder.parent, size=64, count=20, augment=1
    )
    training = make_training(FitConfig("cnn1", "relu", 1e-3, milestones=(2,), image_size=64))
    launch = create_launch(
        *(kind, "regression", config(data=data, storage_path=str(tmp_path), **section), prepared),
        [training],
        baseline={"val_mse": 0.1},
        tracking_uri=NOBODY,
    )
    (cell,) = training.cells
    leave_cell(launch.storage, training.training_id, cell.cell_id, metrics={"val_mse": 0.5})
    missing = [cell.cell_id, launch.launch_id]
    outcome = LaunchOutcome(launch, cell_outcomes(launch, {}), missing)

    conclusion = conclude(outcome, NOBODY)
    assert not conclusion.succeeded
    assert conclusion.promotion is None
    assert [row["name"] for row in conclusion.table.to_json()["rows"]] == ["constant predictor"]
    (line,) = conclusion.advice
    assert line.startswith("1 finished cell is not in MLflow yet: `chromatune resume ")
    outcome = dataclasses.replace(outcome, undelivered=[launch.launch_id])
    (line,) = dataclasses.replace(conclusion, outcome=outcome).advice
    assert line.startswith("the launch's end is not in MLflow yet: `chromatune resume ")
