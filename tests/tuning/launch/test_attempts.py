"""What the next attempt at a training starts from."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tuning.launch.attempts import next_attempt
from tuning.launch.storage import LaunchStorage
from tuning.launch.trainings import Training
from tuning.training.config import FitConfig
from tuning.training.data import TaskData
from tuning.training.loop import fit

TRAINING = Training("cnn1", FitConfig("cnn1", "relu", 1e-3, (4,)), ())


@pytest.fixture
def storage(tmp_path: Path, make_data: Callable[..., TaskData]) -> LaunchStorage:
    """A launch whose training left a checkpoint of each of its four epochs, the last for good."""
    config = FitConfig("cnn1", "relu", 1e-3, milestones=(2, 4), image_size=64, batch_size=10)
    for result in fit(config, make_data("regression")):
        epoch = result.record["epoch"]
        folder = tmp_path / f"launch/cnn1/checkpoint_{epoch:06}"
        result.state.save(folder, final=result.last)
    return LaunchStorage(tmp_path / "launch")


@pytest.mark.parametrize(
    ("missing", "epochs"),
    [(4, (3, 2, 1)), (2, (1,)), (1, ())],
)
def test_a_checkpoint_past_a_lost_cell_is_passed_over(
    storage: LaunchStorage, missing: int, epochs: tuple[int, ...]
) -> None:
    attempt = next_attempt(storage, TRAINING, missing)
    assert attempt.attempt == 2
    assert attempt.checkpoints == tuple(f"cnn1/checkpoint_{epoch:06}" for epoch in epochs)


def test_a_training_that_ended_early_without_its_cell_begins_before_its_end(
    storage: LaunchStorage,
) -> None:
    """Its last checkpoint has no weights, however few epochs it took."""
    assert "cnn1/checkpoint_000004" not in next_attempt(storage, TRAINING, 9).checkpoints


def test_an_attempt_that_has_begun_is_not_joined(tmp_path: Path) -> None:
    storage = LaunchStorage(tmp_path / "launch")
    assert next_attempt(storage, TRAINING, 2).attempt == 1
    storage.write_json("cnn1/begun.json", {})  # a trial may outlive the driver that was killed
    assert next_attempt(storage, TRAINING, 2).attempt == 2
