"""Zips from anywhere: refused before anything in them is unpacked, if they mean harm."""

from __future__ import annotations

import re
import zipfile
from pathlib import Path, PurePosixPath

from data_prep.errors import DataError

# Pictures hardly shrink in a zip: no archive of them comes near both.
_BOMB_BYTES = 20 * 10**9
_BOMB_RATIO = 100
_MOST_MEMBERS = 1_000_000
_DRIVE = re.compile(r"[A-Za-z]:[\\/]")
# What the standard library raises on damaged zips, whatever the damage.
DAMAGED = (zipfile.BadZipFile, NotImplementedError, EOFError, ValueError, LookupError)


def open_zip(path: Path) -> zipfile.ZipFile:
    """Open a zip to be read in place.

    Raises DataError if it is no zip, if a path in it leads out of it, or if it would unpack to far
    more than pictures do.
    """
    try:
        archive = zipfile.ZipFile(path)
    except DAMAGED as error:
        raise DataError(f"{path} is not a whole zip ({error}): download or copy it again") from None
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}") from None
    try:
        check_members(archive, path.stat().st_size, str(path))
    except DataError:
        archive.close()
        raise
    return archive


def check_members(archive: zipfile.ZipFile, size: int, where: str) -> None:
    """Raise DataError, naming `where` it is from, for a zip of `size` bytes that means harm."""
    members = archive.infolist()
    for info in members:
        if _leads_out(info.filename):
            raise DataError(f"{where} is refused: the path {info.filename!r} leads out of it")
    unpacked = sum(info.file_size for info in members)
    ratio = unpacked / max(1, size)
    if len(members) > _MOST_MEMBERS or (unpacked > _BOMB_BYTES and ratio > _BOMB_RATIO):
        raise DataError(
            f"{where} is refused: it would unpack to {len(members)} files of {unpacked / 1e9:.0f} "
            f"GB, {ratio:.0f} times its size, as no pictures do"
        )


def _leads_out(name: str) -> bool:
    path = PurePosixPath(name.replace("\\", "/"))
    return path.is_absolute() or ".." in path.parts or _DRIVE.match(name) is not None
