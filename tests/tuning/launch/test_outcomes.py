"""What is read off a launch's folder, and how it counts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.records import leave_cell
from tuning.launch.folder import Launch
from tuning.launch.outcomes import LaunchOutcome, cell_outcomes, has_ended
from tuning.launch.storage import LaunchStorage
from tuning.launch.trainings import make_training
from tuning.training.config import FitConfig

NAMES = ("cnn1-relu-lr1e-3", "cnn1-relu-lr1e-4")


@pytest.fixture
def launch(tmp_path: Path) -> Launch:
    """Two trainings of two cells, of which nothing is done yet."""
    trainings = [
        make_training(FitConfig("cnn1", "relu", lr, milestones=(2, 4))) for lr in (1e-3, 1e-4)
    ]
    document = {
        "launch_id": "grid-1",
        "kind": "grid",
        "task": "regression",
        "trainings": [training.to_dict() for training in trainings],
    }
    return Launch(LaunchStorage(tmp_path), document)


def finish(launch: Launch, name: str, *epochs: int) -> None:
    for epoch in epochs:
        leave_cell(launch.storage, name, f"{name}-e{epoch}", metrics={"val_mse": 0.5})


def outcomes(launch: Launch, messages: dict[str, Any] | None = None) -> list[tuple[str, str]]:
    return [(cell.outcome, cell.message) for cell in cell_outcomes(launch, messages or {})]


def result(launch: Launch, **details: Any) -> LaunchOutcome:
    cells = cell_outcomes(launch)
    is_over = all(has_ended(launch.storage, training) for training in launch.trainings)
    return LaunchOutcome(launch, cells, [], is_over=is_over, **details)


def test_cells_in_the_folder_are_finished_whatever_became_of_the_rest(launch: Launch) -> None:
    finish(launch, NAMES[0], 2, 4)
    finish(launch, NAMES[1], 2)
    assert outcomes(launch, {NAMES[1]: ("failed", "OSError: disk full")}) == [
        ("finished", ""),
        ("finished", ""),
        ("finished", ""),
        ("failed", "OSError: disk full"),
    ]
    assert outcomes(launch)[3] == ("stopped", "")


def test_a_divergence_is_told_by_the_folder_even_later(launch: Launch) -> None:
    launch.storage.write_json(
        f"{NAMES[1]}/failed.json", {"outcome": "diverged", "message": "in epoch 3", "history": []}
    )
    finish(launch, NAMES[1], 2)
    assert outcomes(launch)[2:] == [("finished", ""), ("diverged", "in epoch 3")]


def test_a_launch_is_complete_when_all_is_there_and_delivered(launch: Launch) -> None:
    for name in NAMES:
        finish(launch, name, 2, 4)
    assert result(launch).complete
    undelivered = LaunchOutcome(launch, cell_outcomes(launch, {}), ["cnn1-relu-lr1e-3-e2"])
    assert not undelivered.complete


def test_out_of_time_is_no_interruption(launch: Launch) -> None:
    finish(launch, NAMES[0], 2, 4)
    assert result(launch).interrupted
    late = result(launch, ended_by="the time budget is used up")
    assert not late.interrupted
    assert not late.complete
