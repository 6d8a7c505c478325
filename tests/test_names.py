"""The program finds its own packages where a user's files have the same names."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from chromatune import PACKAGES, ROOT

BIN = Path(sys.executable).parent
KINDS = ("module", "package", "namespace")
PLACES = ("current folder", "PYTHONPATH")
# What the ways to start the command import first.
STARTS = ("chromatune", "tuning")  # also as `python -m`
CASES = [
    case
    for case in itertools.product(PACKAGES, KINDS, PLACES, STARTS)
    # Where `tuning` is the user's, `python -m tuning` starts the user's own program.
    if case[0] != case[3] or case[1] == "namespace"
]
FOUND = """
import importlib.util, json, {first}
names = {names}
print(json.dumps([importlib.util.find_spec(name).origin for name in names]))
"""


def shadow(folder: Path, name: str, kind: str) -> Path:
    """Make a user's module, package or folder of that name; return its file."""
    file = {
        "module": folder / f"{name}.py",
        "package": folder / name / "__init__.py",
        "namespace": folder / name / "other.py",
    }[kind]
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("raise ImportError('a file of the user')\n")
    return file


def start(
    words: list[str], folder: Path, place: str, **variables: str
) -> subprocess.CompletedProcess[str]:
    """Run Python with the user's folder in that place of its path."""
    elsewhere = folder.parent / "elsewhere"
    elsewhere.mkdir(exist_ok=True)
    env = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"} | variables
    if place == "PYTHONPATH":
        env["PYTHONPATH"] = str(folder)
    return subprocess.run(
        words,
        cwd=folder if place == "current folder" else elsewhere,
        env=env,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(("name", "kind", "place", "first"), CASES)
def test_packages_are_found_beside_the_program(
    name: str, kind: str, place: str, first: str, tmp_path: Path
) -> None:
    shadow(tmp_path / "user", name, kind)
    program = FOUND.format(first=first, names=PACKAGES)
    # Like `-m`, `-c` puts the current folder in front of the path.
    found = start([sys.executable, "-c", program], tmp_path / "user", place)
    assert found.returncode == 0, found.stderr
    assert json.loads(found.stdout) == [f"{ROOT}/{package}/__init__.py" for package in PACKAGES]


@pytest.mark.parametrize("place", PLACES)
def test_commands_run_among_files_of_the_same_names(place: str, tmp_path: Path) -> None:
    for name in PACKAGES:
        shadow(tmp_path / "user", name, "module")
    for words in ([str(BIN / "chromatune")], [sys.executable, "-m", "chromatune"]):
        done = start([*words, "configs", "finals"], tmp_path / "user", place)
        assert done.returncode == 0, done.stderr
        assert done.stdout == (Path(ROOT) / "configs" / "finals.yaml").read_text()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", PACKAGES)
def test_what_python_has_imported_already_is_named_in_one_line(
    name: str, kind: str, tmp_path: Path
) -> None:
    user = tmp_path / "user"
    file = shadow(user, name, kind)
    file.write_text("")
    # As by a sitecustomize.py. A folder is imported where no regular package is found.
    program = f"import sys; path = sys.path[:]; sys.path[:] = [{str(user)!r}]; import {name}\n"
    program += "sys.path[:] = path; from chromatune import main; main()"
    refused = start([sys.executable, "-c", program], user, "PYTHONPATH")
    assert (refused.returncode, refused.stdout) == (2, ""), refused.stderr
    (line,) = refused.stderr.splitlines()
    named = file.parent if kind == "namespace" else file
    assert line.startswith(f"error: Python has imported {named} as '{name}'")


def test_a_file_named_like_a_library_is_named_in_one_line(tmp_path: Path) -> None:
    file = tmp_path / "rich.py"
    done = start_with(file, "")
    assert done.returncode == 2
    assert f"remove or rename {file}" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_ctrl_c_during_imports_is_told_in_a_word(tmp_path: Path) -> None:
    done = start_with(tmp_path / "rich.py", "raise KeyboardInterrupt")
    assert (done.returncode, done.stderr) == (130, "interrupted\n")


def start_with(library: Path, code: str) -> subprocess.CompletedProcess[str]:
    """Run the command where `library` is found before the one of its name."""
    library.write_text(code)
    return subprocess.run(
        [sys.executable, "-c", "from chromatune import main; main()", "--help"],
        env={**os.environ, "PYTHONPATH": f"{library.parent}{os.pathsep}{Path.cwd()}"},
        capture_output=True,
        text=True,
        check=False,
    )
