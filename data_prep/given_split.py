"""A split that the user gives: folders named train, val and test, or a file of paths and sides."""

from __future__ import annotations

import csv
import hashlib
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from data_prep.errors import DataError
from data_prep.split import SIDES, Side

_WORDS: Mapping[str, Side] = {
    **{side: side for side in SIDES},
    **{"valid": "val", "validation": "val", "training": "train"},
}
_MAX_BYTES = 1_000_000_000


@dataclass(frozen=True)
class GivenSplit:
    """The side of each picture by its name.

    `within` has its path within the folder of its side, where such folders are the split;
    `reason` says why a picture without a side has none.
    """

    sides: Mapping[str, Side]
    reason: str
    within: Mapping[str, str] = field(default_factory=dict)


def read_sides(file: Path) -> dict[str, Side]:
    """Read a CSV file with a row for each picture: its path in the source, and its side.

    A first row without a side is a heading. Raises DataError naming the line that is wrong.
    """
    sides: dict[str, Side] = {}
    try:
        if file.stat().st_size > _MAX_BYTES:
            raise DataError(f"the split {file} is no list of pictures: it is over 1 GB")
        with file.open(encoding="utf-8-sig", newline="") as stream:
            for number, row in enumerate(csv.reader(stream), start=1):
                if row:
                    _add(sides, row, f"{file}, line {number}", is_first=number == 1)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise DataError(f"the split {file} cannot be read: {reason}") from None
    if not sides:
        raise DataError(f"the split {file} has no rows: write `path,side` in each")
    return sides


def split_name(sides: Mapping[str, Side]) -> str:
    """Return the name of the split `sides`, which depends on nothing else: `given-1a2b3c4d`."""
    return f"given-{hashlib.sha256(repr(sorted(sides.items())).encode()).hexdigest()[:8]}"


def split_by_file(sides: Mapping[str, Side], names: Iterable[str], where: str) -> GivenSplit:
    """Take the split of a file; DataError if it names pictures that are not in the source."""
    # The same letter may be written in two ways, and file systems differ in theirs.
    own = {unicodedata.normalize("NFC", name): name for name in names}
    missing = sorted(name for name in sides if unicodedata.normalize("NFC", name) not in own)
    if missing:
        raise DataError(
            f"the split names {len(missing)} of {len(sides)} pictures that are not in {where}, "
            f"such as '{missing[0]}': paths are relative to the source"
        )
    placed = {own[unicodedata.normalize("NFC", name)]: side for name, side in sides.items()}
    return GivenSplit(placed, "not in the file of the split")


def split_by_folders(names: Iterable[str], where: str) -> GivenSplit | None:
    """Take the split of folders `train`, `val` and `test`; None if there are none.

    They may lie in a folder that holds all pictures, as in many an archive. Raises DataError if
    only some of the three are there.
    """
    paths = {name: PurePosixPath(name).parts for name in names}
    depth = _shared_depth([parts[:-1] for parts in paths.values()])
    tops = {name: parts[depth].lower() for name, parts in paths.items() if len(parts) > depth + 1}
    found = {_WORDS[top] for top in tops.values() if top in _WORDS}
    if "train" not in found or len(found) < 2:
        return None
    if len(found) < len(SIDES):
        (missing,) = set(SIDES) - found
        raise DataError(
            f"{where} has folders {' and '.join(sorted(found))}, but none named {missing}: add "
            f"it, or choose another split, such as --split random"
        )
    sides = {name: _WORDS[top] for name, top in tops.items() if top in _WORDS}
    within = {name: "/".join(paths[name][depth + 1 :]) for name in sides}
    return GivenSplit(sides, "outside of the folders train, val and test", within)


def shared_pictures(files: Iterable[tuple[str, Side]]) -> int:
    """Count the different pictures (by digest) that are on more than one side."""
    sides = Counter(digest for digest, _ in set(files))
    return sum(1 for count in sides.values() if count > 1)


def _add(sides: dict[str, Side], row: list[str], where: str, *, is_first: bool) -> None:
    name, side = row[0].strip(), row[1].strip().lower() if len(row) > 1 else ""
    if side not in _WORDS:
        if is_first and len(row) > 1:
            return
        raise DataError(f"{where}: '{','.join(row)}' is no `path,side` with train, val or test")
    path = PurePosixPath(name.replace("\\", "/")).as_posix()
    if sides.setdefault(path, _WORDS[side]) != _WORDS[side]:
        raise DataError(f"{where}: '{name}' was on another side before")


def _shared_depth(folders: list[tuple[str, ...]]) -> int:
    """Return how many leading folders all paths share."""
    if not folders:
        return 0
    first, last = min(folders), max(folders)
    pairs = zip(first, last, strict=False)
    depth = 0
    for one, other in pairs:
        if one != other:
            break
        depth += 1
    return depth
