"""Attempts at a training: the checkpoints that each leaves, and what the next starts from.

Every process that runs a launch makes an attempt of its own, in folders of its own. What Ray keeps
of an attempt is a pickle, so nobody reads it again: whoever has been handed a launch folder would
run what is in it. Our own checkpoints and cells say all that is needed.
"""

from __future__ import annotations

import contextlib
import dataclasses
import re
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from tuning.errors import ChromatuneError
from tuning.launch.folder import Launch
from tuning.launch.outcomes import has_ended
from tuning.launch.storage import LaunchStorage
from tuning.launch.trainings import Training
from tuning.training.checkpoint_files import STATE_FILE, checked_state

# What is in a training's folder before anybody has begun to train it.
_OURS = {"cells", "training.json", "failed.json"}
_RAYS = re.compile(
    r"(tuner|trainable)\.pkl"
    r"|(experiment_state|basic-variant-state|search_gen_state|searcher-state|callback-states)-.*"
)


@dataclasses.dataclass(frozen=True)
class FoundCheckpoint:
    """A checkpoint's folder, as a path in the launch folder; `attempt` counts from 1.

    That of a training that has ended has no weights any more.
    """

    path: str
    epoch: int
    attempt: int
    has_weights: bool


@dataclasses.dataclass(frozen=True)
class Assignment:
    """A training handed out to be trained.

    `attempt` counts from 1 how often it was handed out; each attempt has a folder of its own.
    `checkpoints` are paths in the launch folder of what earlier attempts left, newest first.
    `is_new` says that the launch has not known the training before: a search has just suggested it.
    """

    training: Training
    attempt: int = 1
    checkpoints: tuple[str, ...] = ()
    is_new: bool = False

    @property
    def training_id(self) -> str:
        return self.training.training_id


def attempt_folder(training_id: str, attempt: int) -> str:
    """Name of the folder of an attempt's checkpoints.

    Two attempts must not share one: trials of a killed driver may keep writing for a while.
    """
    return training_id if attempt == 1 else f"{training_id}.{attempt}"


def attempts_at(
    storage: LaunchStorage, training_id: str, names: Sequence[str] | None = None
) -> list[int]:
    """The attempts at a training that have left a folder, in order.

    `names` are those in the launch folder, for who asks of many trainings: listing them anew for
    each would take the square of the time.
    """
    found = [1]
    for name in storage.list_dir() if names is None else names:
        before, dot, number = name.rpartition(".")
        if dot and before == training_id and number.isdecimal():
            found.append(int(number))
    return sorted(found)


def newest_first(
    storage: LaunchStorage, training_id: str, names: Sequence[str] | None = None
) -> list[FoundCheckpoint]:
    """Find the whole checkpoints of a training, that of the latest epoch first."""
    found = []
    for attempt in attempts_at(storage, training_id, names):
        folder = attempt_folder(training_id, attempt)
        for path in checkpoints_in(storage, folder):
            if state := _state_of(storage, path):
                has_weights = bool(state["files"])
                found.append(FoundCheckpoint(path, state["epoch"], attempt, has_weights))
    return sorted(found, key=lambda found: (found.epoch, found.attempt), reverse=True)


def checkpoints_in(storage: LaunchStorage, folder: str) -> list[str]:
    """Paths of an attempt's checkpoints, the newest first, whole or not."""
    names = [name for name in storage.list_dir(folder) if name.startswith("checkpoint_")]
    return [f"{folder}/{name}" for name in sorted(names, reverse=True)]


def next_attempt(
    storage: LaunchStorage, training: Training, missing: int, names: Sequence[str] | None = None
) -> Assignment:
    """The next attempt at a training whose cell of epoch `missing` was not reached yet.

    Checkpoints beyond that epoch, of a training that has lost cells, cannot bring them back.
    """
    name = training.training_id
    is_new = set(storage.list_dir(name)) <= _OURS
    attempts = attempts_at(storage, name, names)
    number = 1 if is_new and attempts == [1] else 1 + max(attempts)
    found = newest_first(storage, name, names)
    before = [each.path for each in found if each.has_weights and each.epoch < missing]
    return Assignment(training, number, tuple(before))


def discard_ray_state(storage: LaunchStorage) -> None:
    """Delete unread what Ray has kept of earlier attempts, all but the checkpoints."""
    for name in storage.list_dir():
        if _RAYS.fullmatch(name):
            storage.delete(name)


@contextlib.contextmanager
def fetched(storage: LaunchStorage, path: str) -> Iterator[Path]:
    """Copy a checkpoint to a local folder that lasts as long as the `with`."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "checkpoint"
        folder.mkdir()
        for name in storage.list_dir(path):
            storage.download(f"{path}/{name}", folder / name)
        yield folder


def delete_finished(launch: Launch) -> None:
    """Delete the checkpoints of trainings that have ended: what counts is in their cells.

    What cannot be deleted now stays: it must not keep what a launch came to from being shown.
    """
    storage = launch.storage
    with contextlib.suppress(OSError):
        names = storage.list_dir()
        for training in launch.trainings:
            if not has_ended(launch, training):
                continue
            first, *later = attempts_at(storage, training.training_id, names)
            for path in checkpoints_in(storage, attempt_folder(training.training_id, first)):
                storage.delete(path)
            for attempt in later:
                storage.delete(attempt_folder(training.training_id, attempt))


def _state_of(storage: LaunchStorage, path: str) -> dict[str, Any] | None:
    """What a checkpoint says of itself; None if a process was killed while it wrote it."""
    try:
        return checked_state(storage.read_json(f"{path}/{STATE_FILE}"), path)
    except ChromatuneError:
        return None
