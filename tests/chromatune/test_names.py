"""The functions have the names and the keywords of the commands, and types."""

from __future__ import annotations

import inspect
import subprocess
import sys
from pathlib import Path

import pytest

import chromatune
from chromatune import _keywords
from tuning.cli import app

COMMANDS = {command.callback.__name__: command.callback for command in app.registered_commands}
# What is asked of an object in Python, or has another name.
ONLY_IN_THE_SHELL = {
    **{name: {"detach", "format_"} for name in ("grid", "finals", "finetune", "train", "resume")},
    "prepare": set(),
    "search": {"detach", "format_"},
    "promote": {"format_"},
    "colorize": {"format_"},
    "report": set(),
}
ONLY_IN_PYTHON = {"background", "space"}
KEYWORDS = {
    "prepare": _keywords.PrepareKeywords,
    "grid": _keywords.GridKeywords,
    "finals": _keywords.FinalsKeywords,
    "finetune": _keywords.FinetuneKeywords,
    "train": _keywords.TrainKeywords,
    "search": _keywords.SearchKeywords,
    "promote": _keywords.PreparedKeywords,
}


@pytest.mark.parametrize("name", ONLY_IN_THE_SHELL)
def test_a_function_has_the_keywords_of_its_command(name: str) -> None:
    function = getattr(chromatune, name)
    own = {each.name for each in inspect.signature(function).parameters.values()} - {"keywords"}
    taken = own | set(getattr(KEYWORDS.get(name), "__annotations__", ()))
    options = set(inspect.signature(COMMANDS[name]).parameters)
    assert taken - ONLY_IN_PYTHON == options - ONLY_IN_THE_SHELL[name]
    assert inspect.getdoc(function)


@pytest.mark.slow
def test_a_users_script_passes_mypy_strict_outside_the_checkout(tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(
        """
import chromatune

dataset = chromatune.prepare("my-photos", source="photos", size=64)
reveal_type(dataset.digest)
try:
    launch = chromatune.search("colorizer", dataset="my-photos", num_samples=4, background=True)
except chromatune.ChromatuneError as error:
    reveal_type(error)
    raise SystemExit(str(error)) from None
reveal_type(launch.wait().status)
best = launch.best
if best is not None:
    reveal_type(best.metrics["val_psnr"])
reveal_type(chromatune.search("colorizer", dry_run=True).cost.hours)
reveal_type(chromatune.finals()[0].id)
chromatune.grid("colorizer", epochs="3")
chromatune.grid("colorizer", epohs=[3])
chromatune.grid("colouriser")
"""
    )
    answer = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "script.py"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    said = [line for line in answer.stdout.splitlines() if line.startswith("script.py:")]
    revealed = [line.partition("is ")[2].strip('"') for line in said if "note: Revealed" in line]
    assert revealed[0] == "str"
    assert revealed[1].endswith("ChromatuneError")
    assert revealed[2].startswith("Literal['running']")
    assert revealed[3] == "float"
    assert revealed[4:] == ["float | None", "str"]
    errors = [line for line in said if "error:" in line]
    assert len(errors) == 3, answer.stdout
    for line, word in zip(errors, ("epochs", "epohs", "colouriser"), strict=True):
        assert word in line
