"""Chromatune as a user has it: installed from its wheel, and run in an empty folder."""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from chromatune import ROOT


@dataclasses.dataclass(frozen=True)
class Installed:
    """The empty folder, the command, and the environment in which a shell finds it."""

    folder: Path
    command: Path
    environment: dict[str, str]

    def shell(self, line: str) -> str:
        """Run a line in the folder and return what it prints; it must not fail."""
        done = subprocess.run(
            ["sh", "-c", line],
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout


def install(place: Path, monkeypatch: pytest.MonkeyPatch) -> Installed:
    """Install the wheel below `place`, with the libraries of this environment."""
    build = pytest.importorskip("hatchling.build", reason="hatchling, which builds the wheel")
    monkeypatch.chdir(ROOT)
    with zipfile.ZipFile(place / build.build_wheel(str(place))) as wheel:
        wheel.extractall(place / "site")
    folder = place / "empty folder"
    folder.mkdir()
    command = place / "bin" / "chromatune"
    command.parent.mkdir()
    for file, words in ((command, "-m chromatune"), (command.with_name("python"), "")):
        file.write_text(f'#!/bin/sh\nexec "{sys.executable}" {words} "$@"\n')
        file.chmod(0o755)
    environment = os.environ | {
        "PATH": f"{command.parent}:{os.environ['PATH']}",
        "PYTHONPATH": str(place / "site"),
        "MLFLOW_TRACKING_URI": f"sqlite:///{place}/mlflow.db",
    }
    return Installed(folder, command, environment)
