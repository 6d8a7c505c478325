"""What a command does when its launch begins: it notes the folder, and may leave the terminal."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import typer
from rich.console import Console

from tuning.cli.console import log, print_line, results
from tuning.utils.commands import shell_command

if TYPE_CHECKING:
    from tuning.launch.folder import Launch

_OUTPUT = "output.log"

_folder: Path | None = None
_waiting: int | None = None  # the pipe to the process that has stayed in the terminal


def launch_folder() -> Path | None:
    """The folder of the last launch that this process began, where it is local."""
    return _folder


def detach(context: typer.Context, wanted: bool) -> bool:
    """Continue in a process that outlives the terminal, if `wanted`; a callback of an option.

    The process in the terminal exits with status 0 when a launch begins. If the other one ends
    before, it exits with its status. Until then messages go to the terminal, then to a file.
    """
    global _waiting
    # Nothing has started a thread yet, so that a fork is safe.
    if wanted and not context.resilient_parsing:
        reader, _waiting = os.pipe()
        sys.stdout.flush()
        sys.stderr.flush()
        child = os.fork()
        if child:
            os.close(_waiting)
            sys.exit(_wait(child, reader))
        os.close(reader)
        os.setsid()
        _redirect(os.open(os.devnull, os.O_RDWR), 0)
    return wanted


def begin(launch: Launch) -> None:
    """Note that the launch is about to train; leave the terminal if the user wants that.

    Raises OSError if the file for the output cannot be written.
    """
    global _folder, _waiting
    is_local = "://" not in launch.storage.uri
    _folder = Path(launch.storage.uri) if is_local else None
    if _waiting is None:
        return
    file = _folder / _OUTPUT if _folder else Path(f"{launch.launch_id}.log").absolute()
    opened = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
    sys.stdout.flush()
    sys.stderr.flush()
    _redirect(opened, 1, 2)
    # A console sees only when it is made that it does not write to a terminal.
    Console.__init__(results, highlight=False)
    Console.__init__(log, stderr=True, highlight=False)
    stop = shell_command("chromatune", "stop", launch.found_by)
    text = (
        f"{launch.launch_id} runs in the background as process {os.getpid()} "
        f"({stop} stops it); output: {file}"
    )
    with contextlib.suppress(BrokenPipeError):  # the terminal has already closed
        os.write(_waiting, text.encode())
    os.close(_waiting)
    _waiting = None


def _wait(child: int, reader: int) -> int:
    """Wait until the launch of the process `child` begins, or the process ends."""
    signal.signal(signal.SIGHUP, signal.SIG_DFL)  # the other process is not affected
    while True:
        try:
            if text := os.read(reader, 10_000).decode():
                print_line(text)
                return 0
            status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
            return status if status >= 0 else 128 - status
        except KeyboardInterrupt:
            os.kill(child, signal.SIGINT)


def _redirect(source: int, *targets: int) -> None:
    for target in targets:
        os.dup2(source, target)
    os.close(source)
