"""What trials have reached while a launch runs: a file in its folder, for other processes."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Literal

from pydantic import BaseModel, TypeAdapter, ValidationError

from tuning.errors import ChromatuneError
from tuning.launch.storage import LaunchStorage

LIVE = "progress.json"
_EVERY_S = 2.0
_EVERY_REMOTE_S = 15.0
_JOIN_S = 5.0


class LiveTrial(BaseModel, frozen=True):
    """A trial that runs, is paused or has just failed, its epoch and newest validation metric."""

    status: Literal["running", "paused", "failed"]
    epoch: int
    value: float | None = None


_TRIALS = TypeAdapter(dict[str, LiveTrial])


@contextlib.contextmanager
def published(
    storage: LaunchStorage, live: Callable[[], Mapping[str, Mapping[str, Any]]]
) -> Iterator[None]:
    """Keep the file up to date during the block, and delete it afterwards.

    `live` returns each `LiveTrial` as a mapping. A thread of its own writes the file whenever
    something has changed; storage that is full or away ends nothing.
    """
    ended = threading.Event()
    every_s = _EVERY_S if storage.is_local else _EVERY_REMOTE_S

    def write() -> None:
        written: Mapping[str, Any] | None = None
        while not ended.wait(every_s):
            trials = live()
            if trials != written:
                with contextlib.suppress(OSError):
                    storage.write_json(LIVE, trials)
                    written = trials

    thread = threading.Thread(target=write, name="progress file", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join(_JOIN_S)
        with contextlib.suppress(OSError):
            storage.delete(LIVE)


def read_live(storage: LaunchStorage) -> dict[str, LiveTrial]:
    """What trials have reached, by name; empty if there is no such file."""
    with contextlib.suppress(ChromatuneError, ValidationError):
        return _TRIALS.validate_python(storage.read_json(LIVE))
    return {}
