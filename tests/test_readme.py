"""The README's numbers come from the committed results file, and its commands exist."""

from __future__ import annotations

import json
import re

import pytest
import typer.main
from typer.testing import CliRunner

from docs import update_readme
from tuning.cli import app
from tuning.config.schema import configs_folder

ROOT = configs_folder().parent
COMMANDS = sorted(
    set(
        re.findall(r"^\$ (chromatune [a-z].*?)(?:  +#.*)?$", (ROOT / "README.md").read_text(), re.M)
    )
)


def test_the_tables_are_those_of_the_results_file() -> None:
    assert update_readme.README.read_text() == update_readme.updated_readme()


def test_the_tables_show_what_was_measured() -> None:
    """Every best figure of the file stands in the README, rounded by another hand."""
    text = update_readme.README.read_text()
    document = json.loads(update_readme.RESULTS.read_text())
    grids = [step["table"] for step in document["steps"] if (step["table"] or {}).get("cells")]
    assert {grid["task"] for grid in grids} == {"regression", "colorizer"}
    for grid in grids:
        values = [cell["value"] for cell in grid["cells"]]
        if grid["task"] == "colorizer":
            assert f"★{max(values):.2f}" in text
        else:
            assert f"★{min(values):.2e}".replace("e-0", "e-") in text


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_of_the_readme_is_one_that_can_be_typed(command: str) -> None:
    """Names and options exist: `--help` behind them is answered."""
    words = command.split()[1:]
    assert words[0] in typer.main.get_group(app).commands
    known = CliRunner().invoke(app, [words[0], "--help"], env={"COLUMNS": "200"}).output
    for word in words[1:]:
        if word.startswith("--"):
            assert word in known
