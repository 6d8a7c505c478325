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
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from tuning.errors import ChromatuneError
from tuning.launch.attempts import attempt_folder, attempts_at, checkpoints_in
from tuning.launch.folder import Launch
from tuning.launch.outcomes import has_ended
from tuning.launch.records import read_cell, read_failure
from tuning.launch.storage import LaunchStorage
from tuning.launch.trainings import Training
from tuning.training.checkpoint import TrainState
from tuning.training.checkpoint_files import STATE_FILE, checked_state, read_state, read_tensors
from tuning.training.config import FitConfig

# What is in a training's folder before anybody has begun to train it.
_OURS = {"cells", "training.json", "failed.json"}
# Every writer of this project gives incomplete files such names.
_SCRATCH = re.compile(r"\.\d+\.tmp$")
_RAYS = re.compile(
    r"(tuner|trainable)\.pkl"
    r"|(experiment_state|basic-variant-state|search_gen_state|searcher-state|callback-states)-.*"
)


class FoundCheckpoint(NamedTuple):
    """A checkpoint's folder, as a path in the launch folder; `attempt` counts from 1.

    That of a training that has ended has no weights any more.
    """

    epoch: int
    attempt: int
    path: str
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


def newest_first(storage: LaunchStorage, training_id: str) -> list[FoundCheckpoint]:
    """Find the whole checkpoints of a training, that of the latest epoch first."""
    found = []
    for attempt in attempts_at(storage, training_id):
        for path in checkpoints_in(storage, attempt_folder(training_id, attempt)):
            # A process may have been killed while it wrote one.
            with contextlib.suppress(ChromatuneError):
                state = checked_state(storage.read_json(f"{path}/{STATE_FILE}"), path)
                found.append(
                    FoundCheckpoint(state["epoch"], attempt, path, has_weights=bool(state["files"]))
                )
    return sorted(found, reverse=True)


def next_attempt(storage: LaunchStorage, training: Training) -> Assignment:
    """The next attempt at a training, from checkpoints before its first cell that is missing.

    Later checkpoints, of a training that has lost cells, cannot bring them back.
    """
    name = training.training_id
    is_new = set(storage.list_dir(name)) <= _OURS
    attempts = attempts_at(storage, name)
    number = 1 if is_new and attempts == [1] else 1 + max(attempts)
    missing = (c.epochs for c in training.cells if read_cell(storage, name, c.cell_id) is None)
    end = min(missing, default=training.epochs)
    found = newest_first(storage, name)
    before = [each.path for each in found if each.has_weights and each.epoch < end]
    return Assignment(training, number, tuple(before))


def discard_ray_state(storage: LaunchStorage) -> None:
    """Delete unread what Ray has kept of earlier attempts, all but the checkpoints."""
    for name in storage.list_dir():
        if _RAYS.fullmatch(name):
            storage.delete(name)


def leftovers(launch: Launch) -> Iterator[tuple[str, str]]:
    """Path of every incomplete file and folder and of every damaged checkpoint, and the reason."""
    yield from _scratch(launch.storage, "")
    for training in launch.trainings:
        for attempt in attempts_at(launch.storage, training.training_id):
            folder = attempt_folder(training.training_id, attempt)
            for path in checkpoints_in(launch.storage, folder):
                with fetched(launch.storage, path) as local:
                    try:
                        files = read_state(local)["files"]
                        for kind in files:
                            read_tensors(local, kind, files)
                    except ChromatuneError as error:
                        yield path, str(error).replace(f" in {local}", "").replace(f"{local}/", "")


def _scratch(storage: LaunchStorage, folder: str) -> Iterator[tuple[str, str]]:
    for name in storage.list_dir(folder):
        path = f"{folder}/{name}" if folder else name
        if _SCRATCH.search(name):
            yield path, "incomplete"
        elif storage.is_dir(path):
            yield from _scratch(storage, path)


@contextlib.contextmanager
def fetched(storage: LaunchStorage, path: str) -> Iterator[Path]:
    """Copy a checkpoint to a local folder that lasts as long as the `with`."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "checkpoint"
        folder.mkdir()
        for name in storage.list_dir(path):
            storage.download(f"{path}/{name}", folder / name)
        yield folder


def newest_state(
    storage: LaunchStorage, paths: Iterable[str], config: FitConfig, device: str
) -> TrainState | None:
    """Load the first of `paths` that is whole: an older checkpoint is better than none."""
    for path in paths:
        with contextlib.suppress(ChromatuneError), fetched(storage, path) as folder:
            return TrainState.load(folder, config, device)
    return None


def delete_finished(launch: Launch) -> None:
    """Delete the checkpoints of trainings that have ended: what counts is in their cells.

    What cannot be deleted now stays: it must not keep what a launch came to from being shown.
    """
    storage = launch.storage
    with contextlib.suppress(OSError):
        for training in launch.trainings:
            if not has_ended(storage, training):
                continue
            # Of one that failed, the folders keep the errors to which messages point.
            has_failed = read_failure(storage, training.training_id) is not None
            # In this order, so that none is cut off from the first.
            for attempt in reversed(attempts_at(storage, training.training_id)):
                folder = attempt_folder(training.training_id, attempt)
                is_kept = attempt == 1 or has_failed
                for path in checkpoints_in(storage, folder) if is_kept else [folder]:
                    storage.delete(path)
