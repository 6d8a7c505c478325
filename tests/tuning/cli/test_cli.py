"""Parsing and printing: options, layers, exit status, streams."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer.main
from rich.table import Table
from typer.testing import CliRunner

from data_prep import DataError
from models import ModelError
from tests.commands import resolved
from tuning.cli import app, main
from tuning.cli.console import show
from tuning.cli.failures import errors_as_lines
from tuning.cli.options import words
from tuning.config import schema
from tuning.config.schema import GridLaunchConfig, resolve
from tuning.errors import ChromatuneError


def test_without_options_it_is_the_published_grid() -> None:
    regression, colorizer = resolved("grid", "regression").grid, resolved("grid", "colorizer").grid
    assert (regression.models, regression.heads) == (["cnn1", "cnn2", "cnn3"], ["relu"])
    assert (colorizer.models, colorizer.heads) == (["autoencoder"], ["relu", "sigmoid", "tanh"])
    for grid in (regression, colorizer):
        assert grid.lrs == [1e-3, 1e-4, 1e-5]
        assert grid.epochs == [100, 300, 500]
        assert not grid.independent_cells


def test_flag_beats_set_beats_file_beats_default(tmp_path: Path) -> None:
    file = tmp_path / "grid.yaml"
    file.write_text("training: {seed: 1, batch_size: 11, weight_decay: 0.5}\ngrid: {lrs: [0.1]}\n")
    config = resolved(
        *("grid", "regression", "--config", str(file), "--seed", "3"),
        *("--set", "training.seed=2", "--set", "training.batch_size=22"),
    )
    assert config.training.seed == 3
    assert config.training.batch_size == 22
    assert config.training.weight_decay == 0.5
    assert config.grid.lrs == [0.1]
    assert config.grid.epochs == [100, 300, 500]


def test_every_launch_option_reaches_its_key(tmp_path: Path) -> None:
    config = resolved(
        *("grid", "regression", "--dataset", "ncd", "--data-root", "/pictures", "--size", "64"),
        *("--split", "subject", "--augment", "3", "--data-seed", "4", "--count", "50"),
        *("--cpus-per-trial", "0.5", "--gpus-per-trial", "0.25", "--max-concurrent-trials", "2"),
        *("--backend", "serial", "--max-failures", "0", "--time-budget-s", "60", "--seed", "7"),
        *("--address", "10.0.0.1:6379", "--storage-path", str(tmp_path)),
        *("--models", "cnn2, cnn1", "--lrs", "1e-2", "--epochs", "5,1", "--epoch-scale", "2"),
        "--independent-cells",
    )
    assert config.data.model_dump(mode="json") == {
        **{"dataset": "ncd", "root": "/pictures", "size": 64, "split": "subject"},
        **{"augment": 3, "seed": 4, "count": 50, "group_by": None, "digest": None},
    }
    assert config.resources.model_dump() == {
        **{"cpus_per_trial": 0.5, "gpus_per_trial": 0.25, "max_concurrent_trials": 2},
        **{"max_failures": 0, "time_budget_s": 60.0, "backend": "serial"},
    }
    assert (config.address, config.storage_path) == ("10.0.0.1:6379", str(tmp_path))
    assert config.training.seed == 7
    assert (config.grid.models, config.grid.epochs) == (["cnn2", "cnn1"], [5, 1])
    assert config.grid.independent_cells


def test_lists_are_parsed_and_wrong_ones_named() -> None:
    assert words(" a,b, ") == ["a", "b"]
    assert words(None) is None
    flags = {"grid.lrs": words("1e-3, 2"), "grid.epochs": words("1,2.5")}
    defaults = {"grid": schema.REPORT_GRIDS["regression"]}
    with pytest.raises(ChromatuneError, match=r"'grid\.epochs\.1' is wrong: .* got '2\.5'"):
        resolve(GridLaunchConfig, defaults=defaults, flags=flags)


@pytest.mark.parametrize("kind", [ChromatuneError, DataError, ModelError])
def test_errors_of_users_are_one_line_on_stderr(
    kind: type[Exception], capsys: pytest.CaptureFixture[str]
) -> None:
    text = "no [dataset] here: " + "long " * 60 + "[/bold]"
    with pytest.raises(SystemExit) as exit_, errors_as_lines():
        raise kind(text)
    captured = capsys.readouterr()
    assert exit_.value.code == 2
    assert captured.out == ""
    assert captured.err == f"error: {text}\n"


def test_an_interruption_exits_as_a_shell_reports_it() -> None:
    with pytest.raises(SystemExit) as exit_, errors_as_lines():
        raise KeyboardInterrupt
    assert exit_.value.code == 130


def test_json_is_strict_and_alone_on_stdout(capsys: pytest.CaptureFixture[str]) -> None:
    class Results:
        def rich(self) -> Table:
            return Table("a table")

        def markdown(self) -> str:
            return ""

        def to_json(self) -> dict[str, Any]:
            return {"value": 1.5}

    show([Results()], "json")
    assert json.loads(capsys.readouterr().out) == {"tables": [{"value": 1.5}], "promotions": []}
    show([Results()], "table")
    assert "a table" in capsys.readouterr().out


def test_all_commands_explain_themselves() -> None:
    commands = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    assert {"prepare", "grid", "finals", "finetune", "resume", "trials", "promote"} <= set(commands)
    for name, command in commands.items():
        assert command.help, name
        assert not re.search(r"\w\n\w", command.help), f"{name} breaks lines"
        for option in command.params:
            assert getattr(option, "help", None), f"{name} {option.name}"


def test_a_closed_pipe_is_no_traceback() -> None:
    answer = subprocess.run(
        f"{sys.executable} -m tuning --help | true",
        shell=True,
        capture_output=True,
        text=True,
        check=False,
        cwd=Path(__file__).parents[3],
    )
    assert "Traceback" not in answer.stderr


def test_help_shows_every_default_that_is_not_written_in_the_code() -> None:
    """Defaults in brackets are no markup."""
    found = []
    for name, command in typer.main.get_group(app).commands.items():
        shown = CliRunner().invoke(app, [name, "--help"], env={"COLUMNS": "300"}).output
        for parameter in command.params:
            text = getattr(parameter, "help", None) or ""
            for default in re.findall(r"\\\[(default: [^\]]*)\]", text):
                assert default in " ".join(shown.split()), (name, parameter.name)
                found.append(default)
    assert len(found) > 20


def test_ctrl_c_inside_a_command_is_reported(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("tuning.config.schema.resolve", interrupted)
    monkeypatch.setattr(sys, "argv", ["chromatune", "prepare", "faces"])
    with pytest.raises(SystemExit) as exit_:
        main()
    assert exit_.value.code == 130
    assert capsys.readouterr().err.strip() == "interrupted"
