"""From decoded pictures to the rows of the prepared arrays."""

from __future__ import annotations

import contextlib
from pathlib import Path

from data_prep.augment import augmented_copies, copy_keys
from data_prep.color import rgb_to_lab
from data_prep.errors import DataError
from data_prep.load_pictures import Reading
from data_prep.manifest import PLANES, FileEntry
from data_prep.parallel import Progress, map_threads
from data_prep.row_file import RowFile
from data_prep.settings import PrepareSettings
from data_prep.split import SIDES, Side, given_order, split_pictures


def choose_sides(settings: PrepareSettings, reading: Reading) -> dict[Side, list[int]]:
    """Split the pictures; DataError if groups are needed but unknown, or a side is empty."""
    pictures = reading.pictures
    labels = [picture.label for picture in pictures]
    digests = [picture.sha256 for picture in pictures]
    kind = "subject" if settings.split == "subject" else "group"
    if settings.is_given:
        given = [picture.side or "train" for picture in pictures]
        sides = given_order(digests, settings.seed, given)
    else:
        if settings.keeps_groups:
            _check_labelled(reading, kind)
        sides = split_pictures(
            digests,
            settings.seed,
            strata=[label or "" for label in labels] if settings.is_stratified else None,
            together=labels if settings.keeps_groups else None,
        )
    if not all(sides.values()):
        if settings.is_given:
            empty = next(side for side in SIDES if not sides[side])
            raise DataError(f"the given split has no usable image in {empty}")
        by_group = settings.keeps_groups
        kinds, different = (f"{kind}s", labels) if by_group else ("different images", digests)
        raise DataError(
            f"{len(set(different))} {kinds} cannot fill train, val and test: more are needed"
        )
    return sides


def _check_labelled(reading: Reading, kind: str) -> None:
    unlabelled = [picture.name for picture in reading.pictures if picture.label is None]
    if not unlabelled:
        return
    how = (
        "name their folders s01, s02, …, write s1 in the JPEG comment"
        if kind == "subject"
        else "choose another --group-by"
    )
    raise DataError(
        f"split '{kind}' needs the {kind} of every image, and {len(unlabelled)} of "
        f"{len(reading.pictures)} have none ({unlabelled[0]}): {how}, or use split 'random'"
    )


def write_arrays(
    folder: Path,
    settings: PrepareSettings,
    reading: Reading,
    sides: dict[Side, list[int]],
    progress: Progress | None,
) -> dict[str, RowFile]:
    """Augment, convert and write all pictures; return the arrays by name (`train/L`)."""
    arrays: dict[str, RowFile] = {}
    factors: dict[Side, int] = {"train": settings.augment, "val": 1, "test": 1}
    keys = copy_keys(settings.seed, [picture.sha256 for picture in reading.pictures])

    def write(task: tuple[Side, int, int]) -> None:
        side, row, number = task
        rgb = reading.pixels.read(reading.pictures[number].index)
        copies = augmented_copies(rgb, factors[side], keys[number])
        for copy_row, copy in enumerate(copies, start=row * factors[side]):
            lab = rgb_to_lab(copy)
            for channel, plane in enumerate(PLANES):
                arrays[f"{side}/{plane}"].write(copy_row, lab[..., channel])

    with contextlib.ExitStack() as opened:
        for side in SIDES:
            (folder / side).mkdir()
            shape = (len(sides[side]) * factors[side], settings.size, settings.size)
            for plane in PLANES:
                array = RowFile(folder / side / f"{plane}.npy", shape)
                arrays[f"{side}/{plane}"] = array
                opened.callback(array.close)
        tasks = [(side, row, number) for side in SIDES for row, number in enumerate(sides[side])]
        map_threads(write, tasks, "write", progress)
    return arrays


def file_entries(
    settings: PrepareSettings, reading: Reading, sides: dict[Side, list[int]]
) -> list[FileEntry]:
    """List the pictures for the manifest, split by split in the order of their rows."""
    shows_subjects = settings.grouping == "subject"
    return [
        FileEntry(
            name=picture.name,
            sha256=picture.sha256,
            split=side,
            row=row,
            subject=picture.label if shows_subjects else None,
            category=None if shows_subjects else picture.label,
        )
        for side in SIDES
        for row, picture in enumerate(reading.pictures[number] for number in sides[side])
    ]
