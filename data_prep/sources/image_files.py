"""The interface of a source, and which of its files are pictures."""

from __future__ import annotations

import os
import re
import unicodedata
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import IO, Literal

from data_prep.decode import UnusableError
from data_prep.image_formats import IMAGE_EXTENSIONS

Kind = Literal["folder", "zip", "download", "synthetic"]

MAX_FILE_BYTES = 100_000_000
TOO_LARGE = f"file over {MAX_FILE_BYTES // 10**6} MB"

# What is printed of an extension: file names may hold anything.
_PRINTABLE = re.compile(r"\.[\w+-]{1,12}")
_HIDDEN, _NO_EXTENSION = "hidden", "without extension"
_SHOWN = 6


@dataclass
class Listing:
    """Names of the pictures of a source; files that were skipped, each with the reason.

    `ignored` counts all other files by extension.
    """

    names: list[str] = field(default_factory=list)
    skipped: list[tuple[str, str]] = field(default_factory=list)
    ignored: Counter[str] = field(default_factory=Counter)

    def sort(self) -> Listing:
        self.names.sort()
        self.skipped.sort()
        return self


class ImageSource(ABC):
    """Images by name. `location` is for messages and the manifest, without secrets."""

    kind: Kind
    location: str

    @abstractmethod
    def list(self) -> Listing:
        """List the images by `/`-separated relative name, sorted."""

    @abstractmethod
    def read(self, name: str) -> bytes:
        """Return a file's bytes; UnusableError if it cannot be read. Safe to call from threads."""

    def sha256(self) -> str | None:
        """Return the digest of the archive, if the source is one."""
        return None

    def close(self) -> None:
        """Close what is held open between reads."""
        return


def ignored_as(name: str) -> str | None:
    """Return as what a file is counted that is no picture; None for a picture.

    Pictures have an extension of one of the formats, and are neither hidden nor macOS metadata.
    """
    path = PurePosixPath(portable_name(name))
    hidden = any(part.startswith(".") and part not in (".", "..") for part in path.parts)
    if hidden or "__MACOSX" in path.parts:
        return _HIDDEN
    extension = path.suffix.lower()
    if extension in IMAGE_EXTENSIONS:
        return None
    return extension if _PRINTABLE.fullmatch(extension) else _NO_EXTENSION


def describe_ignored(ignored: Mapping[str, int] | int) -> str:
    """Return the number of ignored files, with those of each extension where they are known."""
    if isinstance(ignored, int):
        return _ignored(ignored)
    counts = sorted(ignored.items(), key=lambda item: (-item[1], item[0]))
    kinds = [f"{count} {kind}" for kind, count in counts[:_SHOWN]]
    rest = sum(count for _, count in counts[_SHOWN:])
    kinds += [f"{rest} of other kinds"] if rest else []
    return f"{_ignored(sum(ignored.values()))}: {', '.join(kinds)}"


def _ignored(number: int) -> str:
    return f"{number} other file{'s' * (number > 1)} ignored"


def portable_names(stored: Iterable[str]) -> dict[str, str]:
    """Map names with slashes and composed letters to the stored ones.

    Windows writes backslashes into zips, macOS writes letters and their accents apart. Stored names
    that would become equal to another stay as they are.
    """
    names: dict[str, str] = {}
    for name in sorted(stored, key=lambda name: (name != portable_name(name), name)):
        portable = portable_name(name)
        names[name if portable in names else portable] = name
    return names


def portable_name(name: str) -> str:
    """Return a name as `portable_names` does, of valid Unicode.

    Bytes of a name that are not UTF-8 become the letters that they are in a zip.
    """
    name = str(PurePosixPath(name.replace("\\", "/")))  # zips may have `./` before each name
    if any("\ud800" <= sign <= "\udfff" for sign in name):
        raw = os.fsencode(name)
        try:
            name = raw.decode()  # where the system's encoding is not UTF-8
        except UnicodeDecodeError:
            name = raw.decode("cp437")
    return unicodedata.normalize("NFC", name)


def printable_path(path: Path) -> str:
    """Return the path with escapes for bytes that are not UTF-8."""
    return os.fsencode(path).decode(errors="backslashreplace")


def read_limited(stream: IO[bytes]) -> bytes:
    """Read a whole file; UnusableError if it is larger than pictures are."""
    data = stream.read(MAX_FILE_BYTES + 1)
    if len(data) > MAX_FILE_BYTES:
        raise UnusableError(TOO_LARGE)
    return data
