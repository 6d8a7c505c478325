"""What the next attempt at a training starts from."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.records import leave_cell
from tuning.launch.checkpoint_choice import next_attempt
from tuning.launch.storage import LaunchStorage
from tuning.launch.trainings import Cell, Training
from tuning.training.config import FitConfig
from tuning.training.data import TaskData
from tuning.training.loop import fit

CONFIG = FitConfig("cnn1", "relu", 1e-3, milestones=(2, 4), image_size=64, batch_size=10)
TRAINING = Training("cnn1", CONFIG, (Cell("e2", 2), Cell("e4", 4)))


@pytest.fixture
def storage(tmp_path: Path, make_data: Callable[..., TaskData]) -> LaunchStorage:
    """A launch whose training left a checkpoint of each of its four epochs, the last for good."""
    for result in fit(CONFIG, make_data("regression")):
        folder = tmp_path / f"launch/cnn1/checkpoint_{result.record['epoch']:06}"
        result.state.save(folder, final=result.last)
    return LaunchStorage(tmp_path / "launch")


@pytest.mark.parametrize(
    ("cells", "epochs"),
    [(["e2"], (3, 2, 1)), (["e4"], (1,)), ([], (1,)), (["e2", "e4"], (3, 2, 1))],
)
def test_a_checkpoint_past_a_lost_cell_is_passed_over(
    storage: LaunchStorage, cells: list[str], epochs: tuple[int, ...]
) -> None:
    """The last checkpoint has no weights."""
    for cell_id in cells:
        leave_cell(storage, "cnn1", cell_id)
    attempt = next_attempt(storage, TRAINING)
    assert attempt.attempt == 2
    assert attempt.checkpoints == tuple(f"cnn1/checkpoint_{epoch:06}" for epoch in epochs)


def test_an_attempt_that_has_begun_is_not_joined(tmp_path: Path) -> None:
    storage = LaunchStorage(tmp_path / "launch")
    assert next_attempt(storage, TRAINING).attempt == 1
    for attempt, folder in ((2, "cnn1"), (3, "cnn1.2"), (4, "cnn1.3")):
        # A trial may outlive the driver that was killed.
        storage.write_json(f"{folder}/begun.json", {})
        assert next_attempt(storage, TRAINING).attempt == attempt
