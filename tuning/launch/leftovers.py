"""Files in a launch folder that a killed process did not finish writing."""

from __future__ import annotations

import re
from collections.abc import Iterator

from tuning.errors import ChromatuneError
from tuning.launch.attempts import attempt_folder, attempts_at, checkpoints_in, fetched
from tuning.launch.folder import Launch
from tuning.launch.storage import LaunchStorage
from tuning.training.checkpoint_files import read_state, read_tensors

# Every writer of this project gives incomplete files such names.
_SCRATCH = re.compile(r"\.\d+\.tmp$")


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
