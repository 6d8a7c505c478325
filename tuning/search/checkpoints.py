"""The checkpoints that a search's trials leave, over all attempts at a training."""

from __future__ import annotations

import dataclasses
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tuning.errors import ChromatuneError
from tuning.storage import LaunchStorage

_STATE = "state.json"


@dataclasses.dataclass(frozen=True)
class FoundCheckpoint:
    """A checkpoint's folder, as a path in the launch folder; `attempt` counts from 1."""

    path: str
    epoch: int
    attempt: int


def attempt_folder(training_id: str, attempt: int) -> str:
    """Name of the folder that Ray keeps an attempt's checkpoints in.

    Ray numbers checkpoints anew in each attempt, so two of them must not share a folder.
    """
    return training_id if attempt == 1 else f"{training_id}.{attempt}"


def attempts_at(storage: LaunchStorage, training_id: str) -> list[int]:
    """The attempts at a training that have left a folder, in order."""
    found = [1]
    for name in storage.list_dir():
        before, dot, number = name.rpartition(".")
        if dot and before == training_id and number.isdecimal():
            found.append(int(number))
    return sorted(found)


def newest_first(storage: LaunchStorage, training_id: str) -> list[FoundCheckpoint]:
    """Find the whole checkpoints of a training, that of the latest epoch first."""
    found = []
    for attempt in attempts_at(storage, training_id):
        folder = attempt_folder(training_id, attempt)
        for name in storage.list_dir(folder):
            path = f"{folder}/{name}"
            if name.startswith("checkpoint_") and (epoch := _epoch_of(storage, path)):
                found.append(FoundCheckpoint(path, epoch, attempt))
    return sorted(found, key=lambda one: (one.epoch, one.attempt), reverse=True)


@contextmanager
def fetched(storage: LaunchStorage, path: str) -> Iterator[Path]:
    """Copy a checkpoint to a local folder that lasts as long as the `with`."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "checkpoint"
        folder.mkdir()
        for name in storage.list_dir(path):
            storage.download(f"{path}/{name}", folder / name)
        yield folder


def _epoch_of(storage: LaunchStorage, path: str) -> int | None:
    try:
        return int(storage.read_json(f"{path}/{_STATE}")["epoch"])
    except (ChromatuneError, KeyError, TypeError, ValueError):
        return None  # begun by a process that was killed
