"""Signs of life for a log: a line each minute in which nothing else was printed."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Self


class Heartbeat:
    """Calls `beat` from a thread of its own whenever `rest` was not called for `every_s` seconds.

    It runs while it is used as a context manager.
    """

    def __init__(self, beat: Callable[[], None], every_s: float = 60.0) -> None:
        self._beat = beat
        self._every_s = every_s
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="heartbeat", daemon=True)
        self.rest()

    def rest(self) -> None:
        """Note that something was printed: the next beat is due `every_s` seconds from now."""
        self._due = time.monotonic() + self._every_s

    def __enter__(self) -> Self:
        self.rest()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._is_over.wait(max(0.0, self._due - time.monotonic())):
            if time.monotonic() >= self._due:
                self.rest()
                self._beat()
