"""The folders of attempts at a training, and what lies in them."""

from __future__ import annotations

import itertools

from tuning.launch.storage import LaunchStorage

# Written when an attempt begins, with the name of its node.
BEGUN = "begun.json"
# The traceback of one that failed, under the name that Ray gives it.
ERROR = "error.txt"


def attempt_folder(training_id: str, attempt: int) -> str:
    """Name of the folder of an attempt's checkpoints.

    Two attempts must not share one: trials of a killed driver may keep writing for a while.
    """
    return training_id if attempt == 1 else f"{training_id}.{attempt}"


def attempts_at(storage: LaunchStorage, training_id: str) -> list[int]:
    """The attempts at a training that have left a folder, which leave no gaps; 1 is always there.

    They are not searched for in the launch folder: to list it for each of many trainings would take
    the square of the time.
    """
    later = itertools.takewhile(
        lambda attempt: storage.exists(attempt_folder(training_id, attempt)), itertools.count(2)
    )
    return [1, *later]


def checkpoints_in(storage: LaunchStorage, folder: str) -> list[str]:
    """Paths of an attempt's checkpoints, the newest first, whole or not."""
    names = [name for name in storage.list_dir(folder) if name.startswith("checkpoint_")]
    return [f"{folder}/{name}" for name in sorted(names, reverse=True)]
