"""What a launch says when something ends it at once, and the status of its run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.records import leave_cell
from tuning.backend.base import BackendError
from tuning.errors import ChromatuneError
from tuning.launch.folder import Launch
from tuning.launch.outcomes import LaunchOutcome, cell_outcomes
from tuning.launch.storage import LaunchStorage
from tuning.launch.trainings import make_training
from tuning.training.config import FitConfig
from tuning.workflows.run_launch import _run_status, errors_with_resume_hint

FULL = OSError(28, "No space left on device")


@pytest.fixture
def launch(tmp_path: Path) -> Launch:
    storage = LaunchStorage(tmp_path / "grid-1")
    storage.write_json("launch.json", {})
    return Launch(storage, {"launch_id": "grid-1", "tracking_uri": ""})


@pytest.mark.parametrize(
    "error", [FULL, BackendError("Traceback (most recent call last):\n  …\nOSError: No space left")]
)
def test_storage_that_fails_is_one_line_with_the_command_that_resumes(
    error: Exception, launch: Launch
) -> None:
    with (
        pytest.raises(ChromatuneError, match=r"^grid-1 stopped: [^\n]*No space left") as raised,
        errors_with_resume_hint(launch, pytest.fail),
    ):
        raise error
    again = f"once that is solved, resume with `chromatune resume {launch.storage.uri}`"
    assert str(raised.value).endswith(again)


def test_errors_that_a_caller_names_become_a_line_and_others_pass(launch: Launch) -> None:
    with (
        pytest.raises(ChromatuneError, match="broken"),
        errors_with_resume_hint(launch, pytest.fail, ArithmeticError),
    ):
        raise ZeroDivisionError("broken")
    for error in (ZeroDivisionError("a bug"), BrokenPipeError()):
        with pytest.raises(type(error)), errors_with_resume_hint(launch, pytest.fail):
            raise error


def test_ctrl_c_says_whether_there_is_something_to_resume(launch: Launch) -> None:
    said: list[str] = []
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt), errors_with_resume_hint(launch, said.append):
            raise KeyboardInterrupt
        launch.storage.delete()
    assert said == [
        f"stopped at once; resume with `chromatune resume {launch.storage.uri}`",
        "stopped before anything was trained; the launch was removed",
    ]


@pytest.mark.parametrize(
    ("reached", "failed", "details", "fixed", "expected"),
    [
        (2, False, {}, True, "FINISHED"),
        (1, False, {"is_over": False}, True, "KILLED"),
        (1, True, {}, True, "FAILED"),
        (1, True, {"is_over": False}, True, "KILLED"),  # something is left to train
        (1, False, {"is_over": False, "ended_by": "the time budget"}, True, "KILLED"),
        # Of a search: one that found something is finished, also when a budget ended it.
        (1, True, {}, False, "FINISHED"),
        (1, False, {"is_over": False, "ended_by": "the time budget"}, False, "FINISHED"),
        (1, False, {"is_over": False}, False, "KILLED"),
        (0, True, {}, False, "FAILED"),
    ],
)
def test_the_run_of_a_launch_ends_as_the_launch(
    reached: int,
    failed: bool,
    details: dict[str, Any],
    fixed: bool,
    expected: str,
    tmp_path: Path,
) -> None:
    training = make_training(FitConfig("cnn1", "relu", 1e-3, milestones=(2, 4)))
    name = training.training_id
    document = {"task": "regression", "trainings": [training.to_dict()]}
    launch = Launch(LaunchStorage(tmp_path), document)
    for cell in training.cells[:reached]:
        leave_cell(launch.storage, name, cell.cell_id, metrics={"val_mse": 0.5})
    if failed:
        launch.storage.write_json(f"{name}/failed.json", {"outcome": "diverged", "message": ""})
    outcome = LaunchOutcome(launch, cell_outcomes(launch), **details)
    assert _run_status(outcome, is_fixed=fixed) == expected
