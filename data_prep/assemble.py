"""From decoded pictures to the rows of the prepared arrays."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np

from data_prep.augment import planned_copies
from data_prep.datasets import DatasetInfo
from data_prep.errors import DataError
from data_prep.lab import UInt8Array
from data_prep.manifest import PLANES, FileEntry
from data_prep.parallel import Progress, map_threads
from data_prep.reading import Reading
from data_prep.settings import PrepareSettings
from data_prep.split import SIDES, Side, split_pictures
from data_prep.store import NewArray
from data_prep.workbench import Workbench

# Copies of a picture: the ten kinds, some of which share their cut, and a few more.
_AT_ONCE = 16


def choose_sides(
    settings: PrepareSettings, info: DatasetInfo, reading: Reading
) -> dict[Side, list[int]]:
    """Split the pictures; DataError if subjects are wanted but unknown, or a side stays empty."""
    pictures = reading.pictures
    labels = [picture.label for picture in pictures]
    nameless = [picture.name for picture in pictures if picture.label is None]
    by_subject = settings.split == "subject"
    if by_subject and nameless:
        raise DataError(
            f"split 'subject' needs to know who is shown, and {len(nameless)} of {len(pictures)} "
            f"pictures do not tell ({nameless[0]}): name their folders s01, s02, … or write s1 in "
            "the JPEG comment, or use split 'random'"
        )
    sides = split_pictures(
        [picture.sha256 for picture in pictures],
        settings.seed,
        strata=[label or "" for label in labels] if info.grouping == "category" else None,
        together=labels if by_subject else None,
    )
    empty = [side for side in SIDES if not sides[side]]
    if empty:
        different = len(set(labels)) if by_subject else len({p.sha256 for p in pictures})
        kind = "subjects" if by_subject else "different pictures"
        raise DataError(
            f"{different} {kind} cannot fill train, val and test ({', '.join(empty)} would stay "
            f"empty): more {kind} are needed"
        )
    return sides


def write_arrays(
    folder: Path,
    settings: PrepareSettings,
    reading: Reading,
    sides: dict[Side, list[int]],
    progress: Progress | None,
) -> dict[str, UInt8Array]:
    """Augment, convert and write all pictures; return the arrays by name (`train/L`)."""
    files: dict[str, NewArray] = {}
    factors: dict[Side, int] = {"train": settings.augment, "val": 1, "test": 1}
    keys = _augmentation_keys(settings.seed, reading)
    own = threading.local()

    def write(task: tuple[Side, int, int]) -> None:
        side, row, number = task
        picture = reading.pictures[number]
        rgb = np.asarray(reading.pixels[picture.index])
        copies = list(planned_copies(settings.size, factors[side], keys[number]))
        if not hasattr(own, "workbench"):
            own.workbench = Workbench(settings.size, min(settings.augment, _AT_ONCE))
        for start in range(0, len(copies), _AT_ONCE):
            planes = own.workbench.planes(rgb, copies[start : start + _AT_ONCE])
            for plane, rows in zip(PLANES, planes, strict=True):
                files[f"{side}/{plane}"].write_rows(row * factors[side] + start, rows)

    tasks = [(side, row, number) for side in SIDES for row, number in enumerate(sides[side])]
    try:
        for side in SIDES:
            (folder / side).mkdir()
            shape = (len(sides[side]) * factors[side], settings.size, settings.size)
            for plane in PLANES:
                files[f"{side}/{plane}"] = NewArray(folder / side / f"{plane}.npy", shape)
        map_threads(write, tasks, "write", progress)
    finally:
        for file in files.values():
            file.close()
    return {name: file.array for name, file in files.items()}


def _augmentation_keys(seed: int, reading: Reading) -> list[str]:
    """Return what each picture's draws are seeded by: its content, told apart from its twins."""
    twins: dict[str, int] = {}
    keys = []
    for picture in reading.pictures:
        twin = twins[picture.sha256] = twins.get(picture.sha256, -1) + 1
        keys.append(f"{seed}:{picture.sha256}:{twin}")
    return keys


def file_entries(
    info: DatasetInfo, reading: Reading, sides: dict[Side, list[int]]
) -> list[FileEntry]:
    """List the pictures for the manifest, split by split in the order of their rows."""
    entries = []
    for side in SIDES:
        for row, number in enumerate(sides[side]):
            picture = reading.pictures[number]
            entries.append(
                FileEntry(
                    name=picture.name,
                    sha256=picture.sha256,
                    split=side,
                    row=row,
                    subject=picture.label if info.grouping == "subject" else None,
                    category=picture.label if info.grouping == "category" else None,
                )
            )
    return entries
