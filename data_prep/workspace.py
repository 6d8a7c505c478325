"""A folder that is written whole or not at all."""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from data_prep.errors import DataError


class Workspace:
    """Builds the folder `target` under another name on the same disk, in `.work` beside it.

    Within `exclusive()` no other process builds the same folder, so anything that is left there is
    of a killed process and is removed.
    """

    def __init__(self, target: Path) -> None:
        self.target = target
        self._work = target.parent / ".work"
        self._building = self._work / f"{target.name}.new"
        self._replaced = self._work / f"{target.name}.old"

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        """Wait for other processes at the same folder, and clean up before and after."""
        with writing_to(self.target.parent):
            self._work.mkdir(parents=True, exist_ok=True)
        with locked(self._work / f"{self.target.name}.lock"):
            if self._replaced.exists() and not self.target.exists():
                self._replaced.rename(self.target)  # killed between the two renames of `publish`
            shutil.rmtree(self._replaced, ignore_errors=True)
            shutil.rmtree(self._building, ignore_errors=True)
            # What killed processes left of other folders; living ones hold their locks.
            for leftover in self._work.glob("*.new"):
                with suppress(DataError), locked(leftover.with_suffix(".lock"), wait=False):
                    shutil.rmtree(leftover, ignore_errors=True)
            try:
                yield
            finally:
                shutil.rmtree(self._building, ignore_errors=True)

    def begin(self) -> Path:
        """Return the empty folder to build in."""
        self._building.mkdir()
        return self._building

    def publish(self) -> None:
        """Rename what was built to the target, replacing an older one."""
        sync_tree(self._building)
        if self.target.exists():
            self.target.rename(self._replaced)
        self._building.rename(self.target)
        _sync_folder(self.target.parent)
        shutil.rmtree(self._replaced, ignore_errors=True)


@contextmanager
def locked(path: Path, *, wait: bool = True) -> Iterator[None]:
    """Hold the lock file `path`; DataError if another process holds it and `wait` is False.

    The system releases the lock when the process dies.
    """
    with writing_to(path.parent):
        stream = path.open("a", encoding="utf-8")
    with stream:
        with writing_to(path.parent):
            fcntl.flock(stream, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        yield


@contextmanager
def writing_to(place: Path) -> Iterator[None]:
    """Turn the OSError of a full or read-only disk into a DataError naming `place`."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise DataError(
                f"no room in {place} ({error.strerror}; {_free_space(place)}): free some space or "
                "choose another data root"
            ) from error
        raise DataError(
            f"cannot write in {place}: {error.strerror or error}; choose another data root"
        ) from error


def sync_tree(folder: Path) -> None:
    """Flush every file below `folder` to the disk, before it is renamed into place."""
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
