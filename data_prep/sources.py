"""Where pictures come from: a folder or a zip, read in place."""

from __future__ import annotations

import hashlib
import lzma
import os
import zlib
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Protocol

from data_prep.decode import UnusableError
from data_prep.errors import DataError
from data_prep.zips import DAMAGED, open_zip

MAX_FILE_BYTES = 100_000_000
_EXTENSIONS = frozenset(
    {
        ".jpg", ".jpeg", ".jpe", ".png", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".ppm", ".pnm",
        ".pgm", ".pbm", ".jp2", ".avif",
    }
)  # fmt: skip
_TOO_BIG = f"file over {MAX_FILE_BYTES // 10**6} MB"


@dataclass
class Listing:
    """Names of the pictures of a source; what was passed over, and why."""

    names: list[str] = field(default_factory=list)
    skipped: list[tuple[str, str]] = field(default_factory=list)
    ignored: int = 0

    def sort(self) -> Listing:
        self.names.sort()
        self.skipped.sort()
        return self


class PictureSource(Protocol):
    """Pictures by name. `read` may be called from several threads at once."""

    kind: str
    location: str

    def list(self) -> Listing:
        """List the pictures by `/`-separated relative name, sorted."""

    def read(self, name: str) -> bytes:
        """Return the file's bytes; UnusableError if this one cannot be had."""

    def close(self) -> None: ...


class FolderSource:
    """The pictures in a folder and the folders below it."""

    kind = "folder"

    def __init__(self, folder: Path) -> None:
        self._folder = folder.resolve()
        self.location = str(self._folder)

    def list(self) -> Listing:
        listing = Listing()
        for parent, folders, files in os.walk(self._folder, onerror=_raise_unreadable):
            here = Path(parent)
            for name in folders:
                if (here / name).is_symlink():
                    relative = (here / name).relative_to(self._folder).as_posix()
                    listing.skipped.append((relative, self._link_reason(here / name)))
            for name in files:
                self._add_file(here / name, listing)
        return listing.sort()

    def read(self, name: str) -> bytes:
        try:
            with (self._folder / name).open("rb") as stream:
                return _read_limited(stream)
        except OSError as error:
            raise UnusableError(f"cannot be read ({error.strerror})") from None

    def close(self) -> None:
        """Nothing is held open between reads."""

    def _add_file(self, path: Path, listing: Listing) -> None:
        relative = path.relative_to(self._folder).as_posix()
        if not is_picture_name(relative):
            listing.ignored += 1
        elif path.is_symlink() and not self._leads_inside(path):
            listing.skipped.append((relative, self._link_reason(path)))
        elif not path.is_file():
            listing.skipped.append((relative, "not a regular file"))
        else:
            listing.names.append(relative)

    def _leads_inside(self, path: Path) -> bool:
        with suppress(OSError, RuntimeError):
            return path.resolve(strict=True).is_relative_to(self._folder)
        return False

    def _link_reason(self, path: Path) -> str:
        if self._leads_inside(path):
            return "link to a folder of the same source, whose pictures are read there"
        return "link that leads out of the source folder" if path.exists() else "broken link"


class ZipSource:
    """The pictures in a zip, read without unpacking it: see `open_zip` for what it may not be.

    DataError if it is encrypted.
    """

    kind = "zip"

    def __init__(self, path: Path) -> None:
        self.location = str(path.resolve())
        self._zip = open_zip(path)
        self._members = {info.filename: info for info in self._zip.infolist() if not info.is_dir()}

    def sha256(self) -> str:
        """Return the digest of the whole zip."""
        with Path(self.location).open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()

    def close(self) -> None:
        self._zip.close()

    def list(self) -> Listing:
        listing = Listing()
        for name, info in self._members.items():
            if not is_picture_name(name):
                listing.ignored += 1
            elif info.flag_bits & 0x1:
                raise DataError(
                    f"{self.location} is encrypted ({name}): unpack it and give the folder instead"
                )
            elif info.file_size > MAX_FILE_BYTES:
                listing.skipped.append((name, _TOO_BIG))
            else:
                listing.names.append(name)
        return listing.sort()

    def read(self, name: str) -> bytes:
        try:
            with self._zip.open(self._members[name]) as stream:
                return _read_limited(stream)
        except (*DAMAGED, zlib.error, lzma.LZMAError, RuntimeError, OSError) as error:
            raise UnusableError(f"broken inside the zip ({error})") from None


class _Readable(Protocol):
    def read(self, size: int, /) -> bytes: ...


def is_picture_name(name: str) -> bool:
    """Tell whether the name is a picture's, and neither hidden nor macOS's metadata."""
    path = PurePosixPath(name)
    hidden = any(part.startswith(".") and part not in (".", "..") for part in path.parts)
    return path.suffix.lower() in _EXTENSIONS and "__MACOSX" not in path.parts and not hidden


def open_source(source: str | Path) -> FolderSource | ZipSource:
    """Open a folder or a zip on this machine; DataError if it is neither."""
    path = Path(source).expanduser()
    if path.is_dir():
        return FolderSource(path)
    if path.is_file():
        return ZipSource(path)
    where = _nearest_existing(path)
    raise DataError(f"the source {path} does not exist{where}: give a folder, a zip or a URL")


def _nearest_existing(path: Path) -> str:
    """Say which parent of a missing path is there, since that is where the typing error is."""
    for parent in path.absolute().parents:
        if parent.is_dir():
            return f" (there is {parent})"
    return ""


def _read_limited(stream: _Readable) -> bytes:
    data = stream.read(MAX_FILE_BYTES + 1)
    if len(data) > MAX_FILE_BYTES:
        raise UnusableError(_TOO_BIG)
    return data


def _raise_unreadable(error: OSError) -> None:
    raise DataError(f"{error.filename} cannot be listed: {error.strerror}")


def describe_listing(names: Sequence[str]) -> str:
    """Return a short sample of names for an error message."""
    return ", ".join(names[:3]) + (", …" if len(names) > 3 else "")
