"""Arrays in files that are written and read row by row, and never held or mapped as a whole."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from data_prep.color import UInt8Array

_BLOCK = 1 << 22


class RowFile:
    """A .npy file of uint8 rows; threads may write different rows at once.

    Mapped pages would count as memory of the process, and of 100 000 pictures there are many. The
    disk space is allocated at once: OSError if there is not enough.
    """

    def __init__(self, path: Path, shape: tuple[int, ...]) -> None:
        self.path = path
        self.shape = shape
        mapped = np.lib.format.open_memmap(path, mode="w+", dtype=np.uint8, shape=shape)
        self._offset = mapped.offset
        del mapped
        self._stream = path.open("r+b", buffering=0)
        self._row_bytes = int(np.prod(shape[1:], dtype=np.int64))
        try:
            os.posix_fallocate(self._stream.fileno(), 0, path.stat().st_size)
        except OSError:
            self.close()
            raise

    def write(self, row: int, values: UInt8Array) -> None:
        """Write one row; OSError if not all of it could be written."""
        rest = memoryview(values.tobytes())
        at = self._offset + row * self._row_bytes
        while rest:
            done = os.pwrite(self._stream.fileno(), rest, at)
            rest, at = rest[done:], at + done

    def read(self, row: int) -> UInt8Array:
        """Read one row."""
        at = self._offset + row * self._row_bytes
        data = os.pread(self._stream.fileno(), self._row_bytes, at)
        return np.frombuffer(data, np.uint8).reshape(self.shape[1:])

    def close(self) -> None:
        self._stream.close()


def array_sha256(path: Path) -> str:
    """Return the digest of the rows in a .npy file, read a piece at a time."""
    digest = hashlib.sha256()
    for block in row_blocks(path, None):
        digest.update(block.data)
    return digest.hexdigest()


def row_blocks(path: Path, rows: int | None) -> Iterator[UInt8Array]:
    """Yield the rows of a .npy file of uint8, so many at a time; None: as many as are handy."""
    mapped = np.lib.format.open_memmap(path, mode="r")
    shape, offset = mapped.shape, mapped.offset
    del mapped
    row_bytes = int(np.prod(shape[1:], dtype=np.int64))
    count = rows or max(1, _BLOCK // max(1, row_bytes))
    with path.open("rb") as stream:
        stream.seek(offset)
        for start in range(0, shape[0], count):
            size = min(count, shape[0] - start)
            data = stream.read(size * row_bytes)
            yield np.frombuffer(data, np.uint8).reshape(size, *shape[1:])
