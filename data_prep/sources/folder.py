"""The pictures in a folder and its subfolders, read in place."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from data_prep.decode import UnusableError
from data_prep.errors import DataError
from data_prep.sources.listing import Kind, Listing, is_picture_name, read_limited


class FolderSource:
    """A folder of pictures. Links that lead out of it are not followed."""

    kind: Kind = "folder"

    def __init__(self, folder: Path) -> None:
        self._folder = folder.resolve()
        self.location = str(self._folder)

    def list(self) -> Listing:
        listing = Listing()
        for parent, folders, files in os.walk(self._folder, onerror=_raise_unreadable):
            for path in (Path(parent) / name for name in folders):
                if path.is_symlink():
                    listing.skipped.append((self._relative(path), self._link_problem(path)))
            for path in (Path(parent) / name for name in files):
                self._add_file(path, listing)
        return listing.sort()

    def read(self, name: str) -> bytes:
        try:
            with (self._folder / name).open("rb") as stream:
                return read_limited(stream)
        except OSError as error:
            raise UnusableError(f"cannot be read ({error.strerror})") from None

    def sha256(self) -> None:
        return None

    def close(self) -> None:
        """Nothing is held open between reads."""

    def _add_file(self, path: Path, listing: Listing) -> None:
        relative = self._relative(path)
        if not is_picture_name(relative):
            listing.ignored += 1
        elif path.is_symlink() and not self._leads_inside(path):
            listing.skipped.append((relative, self._link_problem(path)))
        elif not path.is_file():
            listing.skipped.append((relative, "not a regular file"))
        else:
            listing.names.append(relative)

    def _relative(self, path: Path) -> str:
        return path.relative_to(self._folder).as_posix()

    def _leads_inside(self, path: Path) -> bool:
        with suppress(OSError, RuntimeError):
            return path.resolve(strict=True).is_relative_to(self._folder)
        return False

    def _link_problem(self, path: Path) -> str:
        if self._leads_inside(path):
            return "link to a folder of the same source, whose pictures are read there"
        return "link that leads out of the source folder" if path.exists() else "broken link"


def _raise_unreadable(error: OSError) -> None:
    raise DataError(f"{error.filename} cannot be listed: {error.strerror}")
