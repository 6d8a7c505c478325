"""The interface of a source, and which of its files are pictures."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import IO, Literal

from data_prep.decode import UnusableError

Kind = Literal["folder", "zip", "download", "synthetic"]

MAX_FILE_BYTES = 100_000_000
TOO_LARGE = f"file over {MAX_FILE_BYTES // 10**6} MB"
_EXTENSIONS = {
    ".jpg", ".jpeg", ".jpe", ".png", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".ppm", ".pnm",
    ".pgm", ".pbm", ".jp2", ".avif",
}  # fmt: skip


@dataclass
class Listing:
    """Names of the pictures of a source; files that were skipped, each with the reason."""

    names: list[str] = field(default_factory=list)
    skipped: list[tuple[str, str]] = field(default_factory=list)
    ignored: int = 0

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


def is_image_name(name: str) -> bool:
    """Whether a file name has a picture's extension and is neither hidden nor macOS metadata."""
    path = PurePosixPath(name)
    hidden = any(part.startswith(".") and part not in (".", "..") for part in path.parts)
    return path.suffix.lower() in _EXTENSIONS and "__MACOSX" not in path.parts and not hidden


def read_limited(stream: IO[bytes]) -> bytes:
    """Read a whole file; UnusableError if it is larger than pictures are."""
    data = stream.read(MAX_FILE_BYTES + 1)
    if len(data) > MAX_FILE_BYTES:
        raise UnusableError(TOO_LARGE)
    return data
