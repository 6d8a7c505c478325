"""Stops a launch that another process runs."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import NamedTuple

from tuning.errors import ChromatuneError
from tuning.launch.find import code_options, find_document, name_of
from tuning.launch.launch_json import DOCUMENT
from tuning.launch.lease import OWNER, read_owner, request_stop
from tuning.launch.overview import read_state
from tuning.utils.commands import shell_command

_POLL_S = 0.2
_POLL_REMOTE_S = 2.0


class Stopped(NamedTuple):
    """Whether the launch has ended in time, and a line that says what has become of it."""

    has_ended: bool
    message: str


def stop_launch(
    name: str, storage_path: str, log: Callable[[str], None], *, timeout_s: float
) -> Stopped:
    """Ask the process that runs a launch to stop it as by one Ctrl-C, and wait until it has.

    The request lies in the launch folder, so that the process may be on any machine. Raises
    ChromatuneError if there is no such launch, or if it is not running.
    """
    storage, document = find_document(name, storage_path)
    resume = ("chromatune", "resume", name_of(storage), *code_options(document))
    owner = read_owner(storage)
    if owner is None or not owner.lives:
        state = read_state(storage, document).state
        hint = f"; resume with {shell_command(*resume)}" * (state == "stopped")
        raise ChromatuneError(f"{storage.name} is not running: it is {state}{hint}")
    if not owner.token:
        raise ChromatuneError(
            f"{storage.uri}/{OWNER} is damaged and does not say which process runs the launch: "
            f"if none does, use {shell_command(*resume, '--take-over')}"
        )
    request_stop(storage, owner)
    log(f"stopping {storage.name}: {owner}")
    deadline = time.monotonic() + timeout_s
    while (now := read_owner(storage)) is not None and now.token == owner.token and now.lives:
        if time.monotonic() >= deadline:
            text = "still stops: its trials save their last epoch, then MLflow is brought up to it"
            return Stopped(False, f"{storage.name} {text}; {now}")
        time.sleep(_POLL_S if storage.is_local else _POLL_REMOTE_S)
    if not storage.exists(DOCUMENT):
        text = "stopped before anything was trained; the launch was removed"
        return Stopped(True, f"{storage.name} {text}")
    state = read_state(storage, document).state
    if state != "stopped":
        return Stopped(True, f"{storage.name} is {state}")
    return Stopped(True, f"{storage.name} stopped; resume with {shell_command(*resume)}")
