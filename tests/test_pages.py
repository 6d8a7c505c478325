"""The pages hold what was measured, their links lead somewhere, and their commands exist."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path
from typing import Literal

import pytest
import typer.main
from typer.testing import CliRunner

from benchmarks.harness import Measurement, table
from docs import update
from tuning.cli import app

ROOT = update.ROOT
PAGES = [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"), ROOT / "benchmarks" / "NOTES.md"]
COMMANDS = sorted(
    {
        command
        for page in PAGES
        for command in re.findall(
            r"^\$ (?:chromatune|python -m chromatune) (.*?)(?: +#.*)?$", page.read_text(), re.M
        )
    }
)


def test_the_generated_parts_are_those_of_the_results_files() -> None:
    for path, text in update.updated().items():
        assert path.read_text() == text, f"{path.name} is out of date: run `make docs`"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_files_that_a_page_links_to_exist(page: Path) -> None:
    links = re.findall(r"\]\(([^)#\s]+)", page.read_text())
    local = [link for link in links if "://" not in link]
    assert [link for link in local if not (page.parent / link).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_files_that_a_page_names_exist(page: Path) -> None:
    folders = "benchmarks|chromatune|configs|data_prep|docs|models|tests|tuning"
    names = re.findall(rf"`((?:{folders})/[\w/.-]*)`", page.read_text())
    assert [name for name in names if not (ROOT / name).exists()] == []


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_on_a_page_can_be_typed(command: str) -> None:
    """Names and options exist: `--help` lists them."""
    name, *words = shlex.split(command)
    assert name in typer.main.get_group(app).commands
    known = CliRunner().invoke(app, [name, "--help"], env={"COLUMNS": "200"}).output
    assert [word for word in words if word.startswith("--") and word not in known] == []


def test_every_champion_beats_the_published_model() -> None:
    for champion in update.champions():
        assert champion["runs"], champion["config"]
        for name, value in champion["published"].items():
            if champion["split"] == "random" and name.startswith("test_mse"):
                assert all(run["test_metrics"][name] < value for run in champion["runs"])


@pytest.mark.parametrize("name", ["soak", "cluster"])
def test_nothing_was_lost(name: str) -> None:
    promises = json.loads((update.RESULTS / f"{name}.json").read_text())["promises"]
    assert promises
    assert [promise for promise in promises if promise["figures"].get("losses", 0)] == []


@pytest.mark.parametrize(
    ("passes_at", "middle", "verdict"),
    [
        ("least", 3.2, "met"),
        ("least", 2.9, "**missed**"),
        ("most", 2.9, "met"),
        ("most", 3.2, "**missed**"),
    ],
)
def test_the_median_decides(
    passes_at: Literal["least", "most"], middle: float, verdict: str
) -> None:
    measured = Measurement("a ratio", "", 3.0, passes_at, [9.0, 1.0, middle])
    row = table([{"measurements": [measured.to_json()]}]).splitlines()[-1]
    assert row.endswith(f"| {middle} | 1 | 9 | 3 | {verdict} |")
