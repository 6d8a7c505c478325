"""Terminals and places that lack something: a command works there, or says in a line what to do."""

from __future__ import annotations

import io
import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest
import typer.main

from tests.commands import run
from tuning.cli import app, launched
from tuning.cli.console import results
from tuning.cli.options import words
from tuning.cli.terminal import _Lasting, prepare_streams, stop_on_hangup
from tuning.display.table import Table, row, terminal
from tuning.errors import ChromatuneError
from tuning.utils import environment

ROOT = Path(__file__).parents[3]
SIGNS = "★1.0 ▲ ☆2.0 ▼ 3 × 4 … ± – ━ ┏ 中 \udcff"


@pytest.mark.parametrize(
    ("encoding", "shown"),
    [
        ("ascii", "*1.0 ^ +2.0 v 3 x 4 ... +/- - - + \\u4e2d \\udcff"),
        ("latin-1", "*1.0 ^ +2.0 v 3 × 4 ... ± - - + \\u4e2d \\udcff"),
        ("utf-8", "★1.0 ▲ ☆2.0 ▼ 3 × 4 … ± – ━ ┏ 中 \\udcff"),
    ],
)
def test_what_an_encoding_lacks_is_replaced(
    encoding: str, shown: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("stdout", "stderr"):
        written = io.BytesIO()
        monkeypatch.setattr(sys, name, io.TextIOWrapper(written, encoding))
        prepare_streams()
        print(SIGNS, end="", file=getattr(sys, name), flush=True)
        assert written.getvalue().decode(encoding) == shown


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
@pytest.mark.parametrize("columns", ["1", "20", "80"])
def test_results_are_shown_in_any_encoding_and_width(
    encoding: str, columns: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    environment.set_defaults()
    written = io.BytesIO()
    stream = io.TextIOWrapper(written, encoding)
    monkeypatch.setattr(sys, "stdout", stream)
    prepare_streams()
    results.print(terminal([Table("★ Σ", "model", ("MSE",), (row("cnn2…", "★1.0e-4 ▲"),))]))
    stream.flush()
    text = written.getvalue().decode(encoding)
    assert ("★1.0e-4 ▲" if encoding == "utf-8" else "*1.0e-4 ^") in text


def test_messages_for_a_closed_terminal_are_dropped() -> None:
    reader, writer = os.openpty()
    os.close(reader)
    with pytest.raises(OSError, match="Input/output error"):
        os.write(writer, b"x")
    with _Lasting(writer, "w") as lasting:
        assert lasting.write(b"abc") == 3


def test_a_closed_terminal_counts_once_as_ctrl_c_and_not_under_nohup(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(os, "isatty", lambda _: False)
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        stop_on_hangup()
        signal.raise_signal(signal.SIGHUP)
        signal.signal(signal.SIGHUP, signal.SIG_DFL)
        stop_on_hangup()
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGHUP)
        signal.raise_signal(signal.SIGHUP)
    finally:
        signal.signal(signal.SIGHUP, before)


@pytest.mark.parametrize(
    "name", ["OMP_NUM_THREADS", "RAY_health_check_period_ms", "TUNE_DISABLE_SIGINT_HANDLER"]
)
def test_numbers_in_the_environment_are_checked(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for value, is_number in {"abc": False, "4x": False, "4": True, " 8": True, "": True}.items():
        monkeypatch.setenv(name, value)
        done = run("--version")
        assert done.status == (0 if is_number else 2)
        assert is_number or f"{name} must be a number, but is '{value}'" in done.err
    assert name not in os.environ


def test_a_home_is_found_for_every_path_of_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("RAY_TMPDIR", "TMPDIR", "RAY_AUTH_TOKEN_PATH", "MPLCONFIGDIR", "SOME_TOKEN"):
        monkeypatch.setenv(name, "~/x")
    environment.set_defaults()
    assert os.environ["SOME_TOKEN"] == "~/x"
    assert os.environ["RAY_TMPDIR"] == os.environ["MPLCONFIGDIR"] == f"{tmp_path}/x"
    assert environment.expanded("~nobody-has-this-name/x") == Path("~nobody-has-this-name/x")


def test_a_user_whom_the_system_does_not_know_gets_a_name_and_a_home(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def unknown(user: int) -> Any:
        raise KeyError(user)

    monkeypatch.setattr(pwd, "getpwuid", unknown)
    for name in ("LOGNAME", "USER", "LNAME", "USERNAME", "HOME"):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    environment.set_defaults()
    assert (os.environ["LOGNAME"], os.environ["HOME"]) == (str(os.getuid()), "/")


def test_the_sockets_of_ray_have_short_paths(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    deep = tmp_path / ("d" * 60)
    deep.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(deep))
    monkeypatch.setenv("RAY_TMPDIR", "")
    environment.set_socket_folder()
    assert os.environ["RAY_TMPDIR"] == "/tmp"
    monkeypatch.chdir("/tmp")
    monkeypatch.setenv("RAY_TMPDIR", "short")
    environment.set_socket_folder()
    assert os.environ["RAY_TMPDIR"] == "/tmp/short"
    monkeypatch.setenv("RAY_TMPDIR", str(deep))
    with pytest.raises(ChromatuneError, match=r"RAY_TMPDIR is .* allow at most 39 bytes"):
        environment.set_socket_folder()


@pytest.mark.parametrize("columns", ["0", "1", "20", "nonsense", "-3"])
def test_any_width_has_a_readable_help(columns: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    environment.set_defaults()
    done = run("grid", "--help")
    assert (done.status, done.err) == (0, "")
    assert "--detach" in done.out


def test_a_path_option_may_start_with_a_tilde(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    drawn = ("synthetic-faces", "--count", "10", "--size", "64", "--augment", "1")
    prepared = run("prepare", *drawn, "--data-root=~/data")
    assert prepared.status == 0
    assert prepared.err.startswith("Image size 64: models autoencoder, cnn1, ")
    (tmp_path / "grid.yaml").write_text("data: {root: ~/elsewhere}")
    for option, place in (("--config=~/grid.yaml", "elsewhere"), ("--data-root=~/other", "other")):
        refused = run("grid", "regression", option)
        assert f"no prepared dataset in {tmp_path}/{place}/faces" in refused.err


def test_allowed_hosts_have_one_meaning_in_both_spellings() -> None:
    commands = typer.main.get_group(app).commands
    for name in ("ui", "serve"):
        for given in (["--allowed-hosts", "a, b"], ["--allowed-host", "a", "--allowed-host", "b"]):
            context = commands[name].make_context(name, given)
            assert context.params["allowed_hosts"] == ["a", "b"]
    assert words("a, b") == ["a", "b"]


def test_completion_does_not_detach() -> None:
    command = typer.main.get_group(app).commands["grid"]
    given = ["regression", "--detach"]
    context = command.make_context("grid", given, resilient_parsing=True)
    assert context.params["detach"]
    assert launched._waiting is None


# What cannot be seen inside this process: what a shell does first, and the command.
WRONG = "prepare nonsense --data-root ~/data★"
PLACES = {
    "an encoding without most signs": ("env PYTHONIOENCODING=ascii", "prepare --help"),
    "a locale without UTF-8": ("env LC_ALL=C PYTHONUTF8=0 PYTHONCOERCECLOCALE=0", WRONG),
    "an unknown user without a home": (
        "env -u HOME -u USER setpriv --reuid 12345 --clear-groups",
        WRONG,
    ),
    "a folder that was deleted": ("rmdir $PWD;", WRONG),
    "no stdout": ("exec >&-;", "prepare --help"),
    "no stderr": ("exec 2>&-;", WRONG),
}


@pytest.mark.parametrize("place", PLACES)
def test_a_command_works_anywhere_or_says_what_to_do(place: str, tmp_path: Path) -> None:
    first, command = PLACES[place]
    if "setpriv" in first and (os.getuid() or not shutil.which("setpriv")):
        pytest.skip("only root can become another user")
    done = subprocess.run(
        f"{first} {sys.executable} -m tuning {command}",
        shell=True,
        executable="/bin/bash",
        capture_output=True,
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path[1:]])},
        check=False,
    )
    if done.returncode == 126:
        pytest.skip("another user cannot run this Python")
    assert done.returncode == (0 if "help" in command else 2), done
    assert b"Traceback" not in done.stderr
    assert len(done.stderr.splitlines()) == ("help" not in command and place != "no stderr")
