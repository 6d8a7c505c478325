"""What a trial prints and raises: a text file for each attempt, beside the training's cells."""

from __future__ import annotations

import contextlib
import re
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from typing import Any, TextIO, cast

from tuning.launch.storage import LaunchStorage
from tuning.utils.redaction import redact

_LOG = re.compile(r"log-(\d+)\.txt", re.ASCII)
_LONGEST = 1_000_000  # characters
_WRITE_EVERY_S = 30.0


def log_path(training_id: str, attempt: int) -> str:
    """Path of an attempt's log; the folders of later attempts do not outlast the training."""
    return f"{training_id}/log-{attempt}.txt"


def logs_of(storage: LaunchStorage, training_id: str) -> list[str]:
    """Paths of the logs of a training, that of the first attempt first."""
    found = [match for name in storage.list_dir(training_id) if (match := _LOG.fullmatch(name))]
    return [f"{training_id}/{each[0]}" for each in sorted(found, key=lambda each: int(each[1]))]


class TrialLog:
    """Keeps a copy of what one thread writes to stdout and stderr, of a long text the end.

    The file appears with the first words. It is written when the block of `captured` ends, and
    before that by `save`. Storage that is full or away ends nothing.
    """

    def __init__(self, storage: LaunchStorage, path: str) -> None:
        self._storage = storage
        self._path = path
        self._text = ""
        # Characters that have come so far, and those that are in the file.
        self._come = self._written = 0
        self._left_out = 0
        self._is_paused = False
        self._save_at = 0.0

    @contextlib.contextmanager
    def captured(self) -> Iterator[None]:
        """Copy what this thread writes, and the traceback of what it raises."""
        thread = threading.get_ident()
        out, err = (_Tee(stream, self._add, thread) for stream in (sys.stdout, sys.stderr))
        try:
            with (
                contextlib.redirect_stdout(cast(TextIO, out)),
                contextlib.redirect_stderr(cast(TextIO, err)),
            ):
                yield
        except Exception:
            self._add(traceback.format_exc())
            raise
        finally:
            self.save()

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """Copy nothing: in one process with the driver, what follows is the driver's."""
        self._is_paused = True
        try:
            yield
        finally:
            self._is_paused = False

    def save(self, *, if_due: bool = False) -> None:
        """Write what is new; with `if_due` not more often than twice a minute."""
        now = time.monotonic()
        if self._written == self._come or (if_due and now < self._save_at):
            return
        head = f"[{self._left_out} characters left out]\n" if self._left_out else ""
        with contextlib.suppress(OSError):
            self._storage.write_text(self._path, redact(head + self._text))
            self._written = self._come
        self._save_at = now + _WRITE_EVERY_S

    def _add(self, text: str) -> None:
        if self._is_paused or not text:
            return
        self._come += len(text)
        self._text += text
        if len(self._text) > 2 * _LONGEST:
            self._left_out += len(self._text) - _LONGEST
            self._text = self._text[-_LONGEST:]


class _Tee:
    """Passes everything on to a stream, and what one thread writes also to `copy`."""

    def __init__(self, stream: TextIO, copy: Callable[[str], None], thread: int) -> None:
        self._stream = stream
        self._copy = copy
        self._thread = thread

    def write(self, text: str) -> int:
        if threading.get_ident() == self._thread:
            self._copy(text)
        return self._stream.write(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)
