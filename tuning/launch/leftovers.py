"""Files in a launch folder that a killed process has left half written."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator
from pathlib import Path

from tuning.errors import ChromatuneError
from tuning.launch.storage import LaunchStorage
from tuning.training.checkpoint_files import read_state, read_tensors

# As every writer here names what is not whole yet: after its process.
_SCRATCH = re.compile(r"\.\d+\.tmp$")


def leftovers(storage: LaunchStorage, folder: str = "") -> Iterator[str]:
    """Paths of files and folders that were never given their name, below `folder`."""
    for name in storage.list_dir(folder):
        path = f"{folder}/{name}" if folder else name
        if _SCRATCH.search(name):
            yield path
        elif storage.is_dir(path):
            yield from leftovers(storage, path)


def damaged_checkpoints(storage: LaunchStorage, training_id: str) -> Iterator[tuple[str, str]]:
    """Path of every checkpoint of a training that cannot be gone on from, and why."""
    for folder in storage.list_dir():
        # Attempts at a training are numbered: `name`, `name.2`, `name.3`.
        if folder != training_id and not re.fullmatch(re.escape(training_id) + r"\.\d+", folder):
            continue
        for name in storage.list_dir(folder):
            if name.startswith("checkpoint_"):
                problem = _problem(storage, f"{folder}/{name}")
                if problem:
                    yield f"{folder}/{name}", problem


def _problem(storage: LaunchStorage, path: str) -> str | None:
    with tempfile.TemporaryDirectory() as scratch:
        for name in storage.list_dir(path):
            storage.download(f"{path}/{name}", Path(scratch) / name)
        try:
            files = read_state(Path(scratch))["files"]
            for kind in files:
                read_tensors(Path(scratch), kind, files)
        except (ChromatuneError, KeyError) as error:
            return str(error).replace(f" in {scratch}", "").replace(scratch, path)
    return None
