"""Who is at work on a folder in a bucket, where there are no locks.

A process that wants the folder writes a claim into it and looks who else has. The first to have
done so holds it, and renews a second object for as long as it lives. All times compared are those
that the bucket itself puts on its objects, so no two clocks need to agree.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import logging
import os
import signal
import socket
import threading
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.fs

_LOG = logging.getLogger(__name__)
PREFIX = ".lease."
_CLAIM, _HELD = "claim", "held"
_RENEWED_EVERY_S = 20.0
# Nothing of the holder for so long, and it counts as dead.
_LASTS_S = 90.0
# Of two that claim at once each must see the other: a bucket may show an object a little late.
_SETTLES_S = 0.3
_GIVEN_UP_AFTER_S = 5.0


@contextlib.contextmanager
def leased(filesystem: pyarrow.fs.FileSystem, folder: str) -> Iterator[str]:
    """Hold `folder` for this process alone; yields who holds it, "" if that is this process.

    A holder that was killed is told from a living one at once on its own machine, elsewhere after
    a minute and a half. One that was away for longer, and finds that another has taken over, is
    stopped as by Ctrl-C. Raises OSError if the bucket cannot be listed or written.
    """
    lease = _Lease(filesystem, folder)
    try:
        holder = lease.claim()
        if holder:
            yield holder
            return
        ended = threading.Event()
        thread = threading.Thread(target=lease.renew, args=[ended], name="lease", daemon=True)
        thread.start()
        try:
            yield ""
        finally:
            ended.set()
            thread.join(_GIVEN_UP_AFTER_S)  # a call to a bucket that is away may hang for longer
    finally:
        lease.give_back()


@dataclasses.dataclass
class _Rival:
    """Another process that has asked: when it first did and last gave a sign of life, in s."""

    objects: dict[str, float] = dataclasses.field(default_factory=dict)

    @property
    def holds(self) -> bool:
        return _HELD in self.objects

    @property
    def began(self) -> float:
        return min(self.objects.values())

    @property
    def seen(self) -> float:
        return max(self.objects.values())


class _Lease:
    def __init__(self, filesystem: pyarrow.fs.FileSystem, folder: str) -> None:
        self._fs = filesystem
        self._folder = folder
        self._name = uuid.uuid4().hex

    def claim(self) -> str:
        """Ask for the folder; who holds it, or "" if it is ours now."""
        self._write(_CLAIM)
        time.sleep(_SETTLES_S)
        rivals = self._rivals()
        own = rivals.pop(self._name, None)
        if own is None:
            return "another process"  # which has just cleared the folder away
        for name, rival in rivals.items():
            silent = own.began - rival.seen
            if silent > _LASTS_S:
                self._delete(name)
            elif rival.holds or (rival.began, name) < (own.began, self._name):
                who = self._living(name)
                if who:
                    return f"{who}, seen {max(0, round(silent))} s ago,"
                self._delete(name)
        self._write(_HELD)
        # The first to claim may have become visible only now.
        return self._taken_over_by()

    def renew(self, ended: threading.Event) -> None:
        """Give signs of life until `ended`, or until somebody else holds the folder."""
        while not ended.wait(_RENEWED_EVERY_S):
            # A bucket that is away for a moment is asked again; for longer, trials tell of it.
            with contextlib.suppress(OSError):
                who = self._taken_over_by()
                if who:
                    _LOG.warning("%s has taken over, since this one seemed dead: it stops", who)
                    os.kill(os.getpid(), signal.SIGINT)
                    return
                self._write(_HELD)

    def _taken_over_by(self) -> str:
        """Who else holds the folder with the better right; "" if nobody does."""
        rivals = self._rivals()
        own = rivals.pop(self._name, None)
        for name, rival in rivals.items():
            is_before = own is None or (rival.began, name) < (own.began, self._name)
            if rival.holds and is_before:
                return self._living(name) or "another process"
        return "" if own else "another process"

    def give_back(self) -> None:
        self._delete(self._name)

    def _rivals(self) -> dict[str, _Rival]:
        """All that ask, this process among them, by their names."""
        found: dict[str, _Rival] = {}
        for info in self._fs.get_file_info(pyarrow.fs.FileSelector(self._folder)):
            if info.base_name.startswith(PREFIX):
                name, _, kind = info.base_name.removeprefix(PREFIX).partition(".")
                found.setdefault(name, _Rival()).objects[kind] = info.mtime.timestamp()
        return found

    def _living(self, name: str) -> str:
        """What names a rival; "" if it was a process of this machine that is gone."""
        try:
            with self._fs.open_input_stream(self._path(name, _CLAIM)) as stream:
                told = json.loads(stream.read())
            hostname, pid = str(told["hostname"]), int(told["pid"])
            is_here, started = told["machine"] == _machine(), told["started"]
        except FileNotFoundError:
            return ""  # given back meanwhile
        except (ValueError, KeyError, TypeError):
            return "another process"
        if is_here and _started(pid) != started:
            return ""
        return f"process {pid} on {hostname}"

    def _write(self, kind: str) -> None:
        told: dict[str, Any] = {"hostname": socket.gethostname(), "pid": os.getpid()}
        told |= {"machine": _machine(), "started": _started(os.getpid())}
        with self._fs.open_output_stream(self._path(self._name, kind)) as stream:
            stream.write(json.dumps(told).encode())

    def _delete(self, name: str) -> None:
        for kind in (_HELD, _CLAIM):
            with contextlib.suppress(OSError):
                self._fs.delete_file(self._path(name, kind))

    def _path(self, name: str, kind: str) -> str:
        return f"{self._folder}/{PREFIX}{name}.{kind}"


def _machine() -> str:
    """What tells processes apart that see each other: of one boot, and not in other containers."""
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    return f"{boot} {Path('/proc/self/ns/pid').readlink()}"


def _started(pid: int) -> str:
    """When a process began, in ticks since the boot; "" if there is none."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return ""
    return stat.rpartition(")")[2].split()[19]
