"""Whatever a command raises ends it with one line and an exit status."""

from __future__ import annotations

import functools
import re
import stat
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer.main

from tests.commands import Finished, run
from tuning.cli import app, launched, main

SECRET = "correct-horse-battery"
COMMANDS = typer.main.get_group(app).commands


@pytest.fixture(autouse=True)
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", SECRET)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr(launched, "_folder", None)  # of a launch that another test has run
    monkeypatch.chdir(tmp_path)


def words(name: str) -> Iterator[str]:
    """A command with the arguments it needs: a word that is a task, and fits where text does."""
    yield name
    for parameter in COMMANDS[name].params:
        if parameter.param_type_name == "argument" and parameter.required:
            yield "regression"


def fail(name: str, error: BaseException, monkeypatch: pytest.MonkeyPatch) -> Finished:
    """Run a command whose body raises `error`."""
    for registered in app.registered_commands:
        assert registered.callback is not None
        if registered.callback.__name__ == name:

            @functools.wraps(registered.callback)
            def raising(**_: Any) -> None:
                raise error

            monkeypatch.setattr(registered, "callback", raising)
    return run(*words(name))


@pytest.mark.parametrize("name", COMMANDS)
def test_an_unexpected_error_is_one_line_and_its_traceback_a_private_file(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    failed = fail(name, ZeroDivisionError(f"{SECRET}\nis lost"), monkeypatch)
    assert (failed.status, failed.out) == (70, "")
    (line,) = failed.err.splitlines()
    assert line.startswith("error: unexpected ZeroDivisionError: *** is lost; the traceback is in ")
    assert line.endswith("; `chromatune doctor` looks for damaged launches")
    (file,) = tmp_path.glob("chromatune-error-*.txt")
    assert str(file) in line
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert "Traceback" in file.read_text()
    assert SECRET not in file.read_text()


@pytest.mark.parametrize(
    ("error", "status", "line"),
    [
        (KeyboardInterrupt(), 130, "interrupted\n"),
        (SystemExit(1), 1, ""),
        (BrokenPipeError(), 2, ""),
        (PermissionError(13, "Permission denied", "/x"), 2, "error: /x: Permission denied: .*\n"),
        (OSError(28, "No space left on device"), 2, "error: No space left on device: .*\n"),
        (ValueError("Failed to convert 'x' for MLFLOW_X: it is no int"), 2, "error: .*MLFLOW_X.*"),
        (ValueError("Failed to convert 'x' for MLFLOW_Y: it is no int"), 70, "error: unexpected.*"),
    ],
)
def test_interruptions_and_errors_of_the_system_keep_their_status(
    error: BaseException, status: int, line: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_X", "x")
    failed = fail("trials", error, monkeypatch)
    assert (failed.status, failed.out) == (status, "")
    assert re.fullmatch(line, failed.err, re.DOTALL)


def test_the_traceback_of_a_launch_is_in_its_folder_if_that_can_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for folder, found in ((tmp_path / "launch", "launch/*.txt"), (tmp_path / "gone", "*.txt")):
        (tmp_path / "launch").mkdir(exist_ok=True)
        monkeypatch.setattr(launched, "_folder", folder)
        assert fail("grid", ZeroDivisionError(), monkeypatch).status == 70
        assert len(list(tmp_path.glob(found))) == 1


def test_a_variable_shows_the_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHROMATUNE_TRACEBACK", "1")
    failed = fail("grid", ZeroDivisionError(SECRET), monkeypatch)
    assert failed.err.startswith("Traceback")
    assert SECRET not in failed.err


def test_results_that_cannot_be_written_are_an_error(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["chromatune", "--version"])
    with Path("/dev/full").open("w") as full:
        monkeypatch.setattr(sys, "stdout", full)
        with pytest.raises(SystemExit) as exit_:
            main()
    assert exit_.value.code == 2
    assert capsys.readouterr().err.startswith("error: No space left on device")
