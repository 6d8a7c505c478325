"""The folders of attempts at a training, and what lies in them."""

from __future__ import annotations

import itertools
import re

from tuning.launch.storage import LaunchStorage

# Written when an attempt begins, with the name of its node.
BEGUN = "begun.json"
# The traceback of one that failed, under the name that Ray gives it.
ERROR = "error.txt"
# What is known of one that left no traceback.
DIED = "the trial's process died"
_OWN_ERROR = re.compile(r"^(?:tuning|models|data_prep)(?:\.\w+)+: ")


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


def last_error(storage: LaunchStorage, training_id: str) -> str:
    """Path of the traceback of the last attempt that left one, in the launch folder; or ""."""
    paths = (
        f"{attempt_folder(training_id, attempt)}/{ERROR}"
        for attempt in reversed(attempts_at(storage, training_id))
    )
    return next(filter(storage.exists, paths), "")


def failure_line(text: str) -> str:
    """The error of a traceback, of several lines the first; of this program's only the message."""
    lines = text.strip().splitlines()
    frames = [index for index, line in enumerate(lines) if line.startswith('  File "')]
    end = itertools.dropwhile(
        lambda line: line.startswith("  "), lines[frames[-1] :] if frames else []
    )
    if error := list(itertools.islice(end, 2)):
        lines = [" ".join(map(str.strip, error)) if error[0].endswith(":") else error[0]]
    line = _OWN_ERROR.sub("", lines[-1]) if lines else DIED
    # An error may quote anything, and is shown on terminals.
    return "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in line)


def checkpoints_in(storage: LaunchStorage, folder: str) -> list[str]:
    """Paths of an attempt's checkpoints, the newest first, whole or not."""
    names = [name for name in storage.list_dir(folder) if name.startswith("checkpoint_")]
    return [f"{folder}/{name}" for name in sorted(names, reverse=True)]
