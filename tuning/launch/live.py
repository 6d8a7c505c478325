"""What running trials have reached: a file in the launch folder, for other processes to read."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from pydantic import BaseModel, TypeAdapter, ValidationError

from tuning.errors import ChromatuneError
from tuning.launch.storage import LaunchStorage

LIVE = "progress.json"
_EVERY_S = 2.0
_EVERY_REMOTE_S = 15.0
_JOIN_S = 5.0


class LiveTrial(BaseModel, frozen=True):
    """The epoch that a running trial has reached, and its newest validation metric."""

    epoch: int
    value: float | None = None


_TRIALS = TypeAdapter(dict[str, LiveTrial])


@contextlib.contextmanager
def published(
    storage: LaunchStorage, running: Callable[[], Mapping[str, Mapping[str, Any]]]
) -> Iterator[None]:
    """Keep the file up to date during the block, and delete it afterwards.

    `running` returns a `LiveTrial` as a mapping for each running trial. The file is written by a
    thread of its own, when something has changed, and not when storage is full or away.
    """
    ended = threading.Event()
    every_s = _EVERY_S if storage.is_local else _EVERY_REMOTE_S

    def write() -> None:
        written: Mapping[str, Any] | None = None
        while not ended.wait(every_s):
            trials = running()
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
    """What the running trials have reached by name; empty if there is no such file."""
    with contextlib.suppress(ChromatuneError, ValidationError):
        return _TRIALS.validate_python(storage.read_json(LIVE))
    return {}
