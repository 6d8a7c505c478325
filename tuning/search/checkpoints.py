"""The checkpoints that a search's trials leave, over all attempts at a training."""

from __future__ import annotations

import dataclasses
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tuning.errors import ChromatuneError
from tuning.search.config import MUTABLE
from tuning.storage import LaunchStorage

_STATE = "state.json"


@dataclasses.dataclass(frozen=True)
class FoundCheckpoint:
    """A checkpoint's folder, as a path in the launch folder; `attempt` counts from 1.

    `settings` are those of the training's that PBT may have changed on the way.
    """

    path: str
    epoch: int
    attempt: int
    settings: Mapping[str, Any]


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
            if name.startswith("checkpoint_") and (state := _state_of(storage, path)):
                settings = {name: state["training"][name] for name in MUTABLE}
                found.append(FoundCheckpoint(path, state["epoch"], attempt, settings))
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


def delete_checkpoints(storage: LaunchStorage, training_id: str) -> None:
    """Delete all checkpoints of a training, with the folders of later attempts."""
    for attempt in attempts_at(storage, training_id):
        folder = attempt_folder(training_id, attempt)
        if folder != training_id:
            storage.delete(folder)
            continue
        for name in storage.list_dir(folder):
            if name.startswith("checkpoint_"):
                storage.delete(f"{folder}/{name}")


def _state_of(storage: LaunchStorage, path: str) -> dict[str, Any] | None:
    """What a checkpoint says of itself; None if a process was killed while it wrote it."""
    try:
        state: dict[str, Any] = storage.read_json(f"{path}/{_STATE}")
    except ChromatuneError:
        return None
    return state
