"""Which process owns a launch: one file in the launch folder, wherever that is.

The owner creates the file, renews its heartbeat as long as it lives, and deletes it. On a local
disk only one process can create it. On a bucket, and where a dead owner is replaced, two may write
at the same moment: both read the file again shortly afterwards, the last writer owns the launch,
and an owner that finds another one at its next heartbeat stops.

Another process stops the owner by a file beside it, so that it may be on another machine.
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import socket
import threading
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

from pydantic import BaseModel, Field, ValidationError

from tuning.errors import ChromatuneError
from tuning.launch.storage import LaunchStorage

_LOG = logging.getLogger(__name__)
OWNER = "owner.json"
STOP = "stop.json"
_HEARTBEAT_S = 20.0
# How often an owner looks for a request to stop.
_LISTEN_S = 1.0
_LISTEN_REMOTE_S = 5.0
_DEAD_AFTER_S = 120.0
_SETTLE_S = 0.5
_JOIN_S = 5.0


class Owner(BaseModel, frozen=True):
    """A process that owns a launch; `heartbeat` is in seconds since 1970, by its own clock."""

    host: str = Field(pattern=r"^\P{C}*$")
    pid: int
    machine: str
    started: str
    token: str
    heartbeat: float

    def __str__(self) -> str:
        silent_s = max(0, round(time.time() - self.heartbeat))
        return f"process {self.pid} on {self.host} (last heartbeat {silent_s} s ago)"

    @property
    def lives(self) -> bool:
        """Whether it still runs: certain on its own machine, elsewhere judged by its heartbeat."""
        if self.machine and self.machine == _machine():
            return _process_start(self.pid) == self.started
        return time.time() - self.heartbeat < _DEAD_AFTER_S


@contextlib.contextmanager
def leased(storage: LaunchStorage, *, take_over: bool = False) -> Iterator[str]:
    """Own the launch in `storage` during the block; yields "" then, else who owns it.

    A dead owner is replaced: at once on the same machine, else after a further missed heartbeat.
    With `take_over` a living one is replaced, too, and has stopped when the block begins. Who loses
    a launch is interrupted as by Ctrl-C. Raises OSError if `storage` cannot be read or written.
    """
    pid = os.getpid()
    own = Owner(
        host=socket.gethostname(),
        pid=pid,
        machine=_machine(),
        started=_process_start(pid),
        token=uuid.uuid4().hex,
        heartbeat=time.time(),
    )
    other = _acquire(storage, own, take_over)
    if other is not None:
        yield str(other)
        return
    ended = threading.Event()
    thread = threading.Thread(target=_renew, args=[storage, own, ended], name="lease", daemon=True)
    thread.start()
    try:
        yield ""
    finally:
        ended.set()
        thread.join(_JOIN_S)  # a call to a bucket that is away may take longer
        with contextlib.suppress(OSError):
            if _is_owner(storage, own):
                storage.delete(STOP)
                storage.delete(OWNER)


def request_stop(storage: LaunchStorage, owner: Owner) -> None:
    """Interrupt the owner of a launch as by one Ctrl-C, within seconds, wherever it runs."""
    storage.write_json(STOP, {"token": owner.token, "by": f"{socket.gethostname()}:{os.getpid()}"})


def read_owner(storage: LaunchStorage) -> Owner | None:
    """The process that the launch folder names as its owner, dead or alive."""
    try:
        return Owner.model_validate(storage.read_json(OWNER))
    except (ChromatuneError, ValidationError):
        if not storage.exists(OWNER):
            return None
    # A damaged file, or one of a later version: only `take_over` replaces it.
    now = time.time()
    return Owner(host="an unknown host", pid=0, machine="", started="", token="", heartbeat=now)


def _acquire(storage: LaunchStorage, own: Owner, take_over: bool) -> Owner | None:
    """Write `own` into the folder; returns the owner that prevents it, if one does."""
    settle_s = 0.0 if storage.is_local else _SETTLE_S
    while not storage.write_json(OWNER, own.model_dump(), if_absent=True):
        other = read_owner(storage)
        if other is None:
            continue  # it has ended meanwhile
        if other.lives and not take_over:
            return other
        settle_s = _HEARTBEAT_S + _SETTLE_S if other.lives else _SETTLE_S
        if other.machine != own.machine and not take_over:
            # Clocks may differ: only an owner that is really dead stays silent.
            _LOG.warning("waiting %g s for a heartbeat of %s", 1.5 * _HEARTBEAT_S, other)
            time.sleep(1.5 * _HEARTBEAT_S)
            if read_owner(storage) != other:
                return read_owner(storage) or other
        _LOG.warning("taking over from %s", other)
        storage.write_json(OWNER, own.model_dump())
        break
    time.sleep(settle_s)
    return None if _is_owner(storage, own) else read_owner(storage) or own


def _renew(storage: LaunchStorage, own: Owner, ended: threading.Event) -> None:
    listen_s = _LISTEN_S if storage.is_local else _LISTEN_REMOTE_S
    beat_at = time.monotonic() + _HEARTBEAT_S
    is_stopping = False
    while not ended.wait(min(listen_s, _HEARTBEAT_S)):
        with contextlib.suppress(OSError):  # storage that is away is tried again
            if not is_stopping and _is_stop_requested(storage, own):
                is_stopping = _interrupt()
            if time.monotonic() < beat_at:
                continue
            beat_at = time.monotonic() + _HEARTBEAT_S
            if not _is_owner(storage, own):
                other = read_owner(storage) or "another process, which has ended"
                _LOG.warning("%s was taken over by %s: stopping", storage.name, other)
                os.kill(os.getpid(), signal.SIGINT)
                return
            now = own.model_copy(update={"heartbeat": time.time()})
            storage.write_json(OWNER, now.model_dump())


def _is_stop_requested(storage: LaunchStorage, own: Owner) -> bool:
    """Whether this owner was asked to stop, rather than one before it."""
    if not storage.exists(STOP):
        return False
    with contextlib.suppress(ChromatuneError):
        request = storage.read_json(STOP)
        return isinstance(request, dict) and request.get("token") == own.token
    return False


def _interrupt() -> bool:
    """Interrupt this process as Ctrl-C does; returns False while it ignores that.

    A shell starts background commands so, but a backend handles Ctrl-C once it runs trials.
    """
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        return False
    os.kill(os.getpid(), signal.SIGINT)
    return True


def _is_owner(storage: LaunchStorage, own: Owner) -> bool:
    named = read_owner(storage)
    return named is not None and named.token == own.token


def _machine() -> str:
    """Identifies the boot and the container, in which processes see each other; "" if unknown."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text("utf-8").strip()
        return f"{boot} {Path('/proc/self/ns/pid').readlink()}"
    except OSError:
        return ""


def _process_start(pid: int) -> str:
    """When a process of this machine began, in ticks since boot; "" if it has ended."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text("utf-8", "replace").rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if fields[0] in "ZX" else fields[19]
