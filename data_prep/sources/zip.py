"""The pictures in a zip, read without unpacking it; malicious archives are rejected."""

from __future__ import annotations

import hashlib
import lzma
import re
import zipfile
import zlib
from collections import Counter
from contextlib import suppress
from pathlib import Path, PurePosixPath

from data_prep.decode import UnusableError
from data_prep.errors import DataError
from data_prep.sources.image_files import (
    MAX_FILE_BYTES,
    TOO_LARGE,
    ImageSource,
    Kind,
    Listing,
    ignored_as,
    portable_names,
    printable_path,
    read_limited,
)

# Pictures hardly shrink in a zip: no archive of them comes near both.
_BOMB_BYTES = 20 * 10**9
_BOMB_RATIO = 100
_MAX_MEMBERS = 1_000_000
_IS_UTF8 = 0x800
_DRIVE = re.compile(r"[A-Za-z]:[\\/]")
# What the standard library raises on damaged zips.
_DAMAGED = (
    zipfile.BadZipFile, NotImplementedError, EOFError, ValueError, LookupError, zlib.error,
    lzma.LZMAError, RuntimeError,
)  # fmt: skip


class ZipSource(ImageSource):
    """A zip of pictures.

    Raises DataError if the file is not a zip, if a path in it leads out of it, if it is encrypted
    (on `list`), or if it would unpack to far more than pictures do.
    """

    def __init__(self, path: Path, kind: Kind = "zip", location: str | None = None) -> None:
        self.kind = kind
        self.location = location or printable_path(path.resolve())
        self._path = path
        try:
            self._zip = zipfile.ZipFile(path)
        except _DAMAGED as error:
            raise self._damaged(error) from None
        except OSError as error:
            raise DataError(f"{path} cannot be read: {error.strerror or error}") from None
        try:
            self._check_members()
        except DataError:
            self.close()
            raise
        # As when unpacked, the last member of a name is the file.
        files = [info for info in self._zip.infolist() if not info.filename.endswith(("/", "\\"))]
        stored = {_name(info): info for info in files}
        self._members = {name: stored[own] for name, own in portable_names(stored).items()}
        self._replaced = list((Counter(map(_name, files)) - Counter(list(stored))).elements())

    def list(self) -> Listing:
        listing = Listing()
        listing.skipped += [(name, "a later member has the same name") for name in self._replaced]
        for name, info in self._members.items():
            kind = ignored_as(name)
            if kind is not None:
                listing.ignored[kind] += 1
            elif info.flag_bits & 0x1:
                raise DataError(
                    f"{self.location} is encrypted ({name}): unpack it and give the folder instead"
                )
            elif info.file_size > MAX_FILE_BYTES:
                listing.skipped.append((name, TOO_LARGE))
            else:
                listing.names.append(name)
        return listing.sort()

    def read(self, name: str) -> bytes:
        try:
            with self._zip.open(self._members[name]) as stream:
                return read_limited(stream)
        except (*_DAMAGED, OSError) as error:
            raise UnusableError(f"broken inside the zip ({error})") from None

    def sha256(self) -> str:
        with self._path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()

    def check_contents(self) -> None:
        """Read every member and compare its checksum; DataError if one is damaged."""
        try:
            broken = self._zip.testzip()
        except _DAMAGED as error:
            raise self._damaged(error) from None
        if broken is not None:
            raise self._damaged(f"at {broken}")

    def close(self) -> None:
        self._zip.close()

    def _damaged(self, problem: object) -> DataError:
        return DataError(f"{self.location} is a damaged zip ({problem}): download or copy it again")

    def _check_members(self) -> None:
        members = self._zip.infolist()
        for info in members:
            if _leads_out(info.filename):
                raise DataError(
                    f"{self.location} is rejected: the path {info.filename!r} leads out of it"
                )
        unpacked = sum(info.file_size for info in members)
        ratio = unpacked / max(1, self._path.stat().st_size)
        if len(members) > _MAX_MEMBERS or (unpacked > _BOMB_BYTES and ratio > _BOMB_RATIO):
            raise DataError(
                f"{self.location} is rejected: it would unpack to {len(members)} files of "
                f"{unpacked / 1e9:.0f} GB, {ratio:.0f} times its size"
            )


def _name(info: zipfile.ZipInfo) -> str:
    """Return a member's path; macOS writes UTF-8 without saying so, which is read as cp437."""
    if not info.flag_bits & _IS_UTF8:
        with suppress(UnicodeError):
            return info.filename.encode("cp437").decode("utf-8")
    return info.filename


def _leads_out(name: str) -> bool:
    path = PurePosixPath(name.replace("\\", "/"))
    return path.is_absolute() or ".." in path.parts or _DRIVE.match(name) is not None
