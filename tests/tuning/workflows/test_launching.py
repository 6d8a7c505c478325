"""What a launch says when something ends it at once."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from ray.tune.error import TuneError
from rich.console import Console

from tuning.errors import ChromatuneError
from tuning.launch.folder import Launch
from tuning.launch.storage import LaunchStorage
from tuning.workflows.launching import told_how_to_go_on

FULL = OSError(28, "No space left on device")


@pytest.fixture
def launch(tmp_path: Path) -> Launch:
    storage = LaunchStorage(tmp_path / "grid-1")
    storage.write_json("launch.json", {})
    return Launch(storage, {"launch_id": "grid-1"})


@pytest.mark.parametrize(
    "error", [FULL, TuneError("Traceback (most recent call last):\n  …\nOSError: No space left")]
)
def test_storage_that_fails_is_one_line_with_the_command_to_go_on_with(
    error: Exception, launch: Launch
) -> None:
    with (
        pytest.raises(ChromatuneError, match=r"^grid-1 stopped: [^\n]*No space left") as told,
        told_how_to_go_on(launch, Console(file=io.StringIO())),
    ):
        raise error
    again = f"once the cause is mended, go on with `chromatune resume {launch.storage.uri}`"
    assert str(told.value).endswith(again)


def test_kinds_of_errors_that_a_caller_names_are_told_and_others_are_not(launch: Launch) -> None:
    console = Console(file=io.StringIO())
    with (
        pytest.raises(ChromatuneError, match="broken"),
        told_how_to_go_on(launch, console, ArithmeticError),
    ):
        raise ZeroDivisionError("broken")
    for error in (ZeroDivisionError("a bug"), BrokenPipeError()):
        with pytest.raises(type(error)), told_how_to_go_on(launch, console):
            raise error


def test_ctrl_c_tells_whether_there_is_something_to_go_on_with(launch: Launch) -> None:
    out = io.StringIO()
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt), told_how_to_go_on(launch, Console(file=out)):
            raise KeyboardInterrupt
        launch.storage.delete()
    left, withdrawn = out.getvalue().splitlines()
    assert left == f"stopped at once; go on with `chromatune resume {launch.storage.uri}`"
    assert withdrawn == "stopped before anything was trained; the launch is withdrawn"
