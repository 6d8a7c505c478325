"""What a shell completes: through its own function, and as it is shown to a user who types."""

from __future__ import annotations

import os
import pty
import re
import select
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.processes import kill

COMMAND = Path(sys.executable).parent / "chromatune"
SCRIPT = 'eval "$(_CHROMATUNE_COMPLETE=source_{shell} chromatune)"'


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """The command on the PATH, and a storage path with two launches in the current folder."""
    for name in ("grid-regression-faces-1", "search-colorizer-ncd-2"):
        folder = tmp_path / "ray_results" / name
        folder.mkdir(parents=True)
        text = f"""{{"format": 1, "launch_id": "{name}", "kind": "grid", "task": "regression",
            "dataset": "faces", "dataset_digest": "", "experiment": "faces", "created": 1,
            "config": {{}}, "tracking_uri": "", "baseline": {{}}, "parent_model": null,
            "trainings": []}}"""
        (folder / "launch.json").write_text(text)
    path = f"{COMMAND.parent}:{os.environ['PATH']}"
    return {**os.environ, "PATH": path, "TERM": "dumb", "PS1": "$ ", "LC_ALL": "C.UTF-8"}


Complete = Callable[..., list[str]]


@pytest.fixture
def bash(environment: dict[str, str], tmp_path: Path) -> Complete:
    """A function of the words on a command line -> what bash offers for the last one."""

    def complete(*words: str) -> list[str]:
        quoted = " ".join(f"'{word}'" for word in words)
        program = f"""{SCRIPT.format(shell="bash")}
COMP_WORDS=({quoted}); COMP_CWORD={len(words) - 1}
_chromatune_completion chromatune
printf '%s\\n' "${{COMPREPLY[@]}}" """
        shell = ["bash", "--norc", "--noprofile", "-c", program]
        done = subprocess.run(
            shell, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True
        )
        assert done.stderr == ""
        return done.stdout.split()

    return complete


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["st"], ["status", "stop"]),
        (["grid", "re"], ["regression"]),
        (["grid", "colorizer", "--backend", ""], ["ray", "serial"]),
        (["grid", "colorizer", "-c", "search"], ["search_colorizer", "search_regression"]),
        (["search", "colorizer", "--sampler", "g"], ["gp", "grid"]),
        (["configs", "fin"], ["finals", "finetune_ncd"]),
        (["schema", "s"], ["search"]),
        (["resume", ""], ["last", "search-colorizer-ncd-2", "grid-regression-faces-1"]),
        (["status", "grid"], ["grid-regression-faces-1"]),
        (["stop", "nothing"], []),
        (["launches", "--form"], ["--format"]),
    ],
    ids=" ".join,
)
def test_bash_completes(words: list[str], expected: list[str], bash: Complete) -> None:
    assert bash("chromatune", *words) == expected


@pytest.mark.skipif(shutil.which("zsh") is None, reason="zsh is not installed: make browser")
@pytest.mark.parametrize(
    ("typed", "completed"),
    [
        ("chromatune stat", "chromatune status "),
        ("chromatune grid --indep", "chromatune grid --independent-cells "),
        ("chromatune grid colorizer -c search_c", "chromatune grid colorizer -c search_colorizer "),
        ("chromatune resume gr", "chromatune resume grid-regression-faces-1 "),
    ],
)
def test_zsh_completes_what_is_typed(
    typed: str, completed: str, environment: dict[str, str], tmp_path: Path
) -> None:
    script = SCRIPT.format(shell="zsh")
    start = f"PS1='$ '; autoload -U compinit; compinit -u -D; {script}; echo re''ady\n"
    with _Terminal(["zsh", "-f", "-i"], environment, tmp_path) as terminal:
        terminal.send(start)
        terminal.read_until("ready\r\n")
        terminal.send(f"{typed}\t")
        terminal.read_until(completed)


class _Terminal:
    """A shell that believes it talks to a user."""

    def __init__(self, words: list[str], environment: dict[str, str], folder: Path) -> None:
        self._file, terminal = pty.openpty()
        self._process = subprocess.Popen(
            words,
            cwd=folder,
            env=environment,
            stdin=terminal,
            stdout=terminal,
            stderr=terminal,
            start_new_session=True,
        )
        os.close(terminal)

    def __enter__(self) -> _Terminal:
        return self

    def __exit__(self, *_: object) -> None:
        kill(self._process)
        os.close(self._file)

    def send(self, text: str) -> None:
        os.write(self._file, text.encode())

    def read_until(self, text: str) -> None:
        seen, ends = "", time.monotonic() + 60
        while text not in seen:
            ready, _, _ = select.select([self._file], [], [], max(0, ends - time.monotonic()))
            assert ready, seen
            # Without what the shell says to a terminal about itself.
            chunk = os.read(self._file, 4096).decode(errors="replace")
            seen += re.sub(r"\x1b\[\??[\d;]*[A-Za-z]", "", chunk)
