"""A folder that appears whole or not at all."""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from data_prep.errors import DataError

_WORK = ".work"


class Workspace:
    """Builds the folder `target` in a temporary one on the same disk, `target`'s parent's `.work`.

    Within `exclusive()` no other process builds the same folder, so whatever an earlier, killed
    one left there is dead and is cleared away.
    """

    def __init__(self, target: Path) -> None:
        self.target = target
        self._work = target.parent / _WORK
        self.building = self._work / f"{target.name}.new"
        self._replaced = self._work / f"{target.name}.old"

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        """Wait for other processes at the same folder, clear up after dead ones, and at the end."""
        with writing_to(self.target.parent):
            self._work.mkdir(parents=True, exist_ok=True)
        with locked(self._work / f"{self.target.name}.lock"):
            self._recover()
            self._sweep()
            try:
                yield
            finally:
                shutil.rmtree(self.building, ignore_errors=True)

    def begin(self) -> Path:
        """Return the empty folder to build in."""
        self.building.mkdir()
        return self.building

    def publish(self) -> None:
        """Make what was built the target, in place of the one that may be there."""
        sync_tree(self.building)
        if self.target.exists():
            self.target.rename(self._replaced)
        self.building.rename(self.target)
        _sync_folder(self.target.parent)
        shutil.rmtree(self._replaced, ignore_errors=True)

    def publish_inside(self, name: str) -> None:
        """Make what was built the folder `name` inside the target."""
        sync_tree(self.building)
        self.building.rename(self.target / name)

    def _recover(self) -> None:
        """Bring back the folder that a killed process moved aside; remove what it was building."""
        if self._replaced.exists():
            if self.target.exists():
                shutil.rmtree(self._replaced)
            else:
                self._replaced.rename(self.target)
        shutil.rmtree(self.building, ignore_errors=True)

    def _sweep(self) -> None:
        """Remove what killed processes left of other folders; a lock that is held says: alive."""
        for leftover in self._work.glob("*.new"):
            descriptor = os.open(leftover.with_suffix(".lock"), os.O_CREAT | os.O_RDWR, 0o666)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(leftover, ignore_errors=True)
            except BlockingIOError:
                continue
            finally:
                os.close(descriptor)


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock file `path`, waiting for it; the system frees it when the process dies."""
    with writing_to(path.parent):
        descriptor = os.open(path, os.O_CREAT | os.O_RDWR, 0o666)
    try:
        with writing_to(path.parent):
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


@contextmanager
def writing_to(place: Path) -> Iterator[None]:
    """Turn what the system says of a full or unwritable disk into a DataError naming `place`."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise DataError(
                f"no room in {place} ({error.strerror}; {_free_space(place)}): free some space or "
                "choose another data root"
            ) from error
        raise DataError(
            f"cannot write in {place}: {error.strerror or error}; choose a data root you can write"
        ) from error


def sync_tree(folder: Path) -> None:
    """Have the disk hold every file below `folder` before it is renamed into place."""
    for parent, _, files in os.walk(folder):
        for name in files:
            with (Path(parent) / name).open("rb") as stream:
                os.fsync(stream.fileno())
        _sync_folder(Path(parent))


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _free_space(place: Path) -> str:
    with suppress(OSError):
        return f"{shutil.disk_usage(place).free / 1e6:.0f} MB free"
    return "free space unknown"
