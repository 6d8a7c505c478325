"""The pictures in a folder and its subfolders, read in place."""

from __future__ import annotations

import os
from pathlib import Path

from data_prep.decode import UnusableError
from data_prep.errors import DataError
from data_prep.sources.image_files import (
    ImageSource,
    Kind,
    Listing,
    ignored_as,
    portable_name,
    portable_names,
    printable_path,
    read_limited,
)


class FolderSource(ImageSource):
    """A folder of pictures. Links that lead out of it are not followed."""

    kind: Kind = "folder"

    def __init__(self, folder: Path) -> None:
        self._folder = folder.resolve()
        self.location = printable_path(self._folder)
        self._stored: dict[str, str] = {}

    def list(self) -> Listing:
        listing, found = Listing(), []
        for parent, folders, files in os.walk(self._folder, onerror=_raise_unreadable):
            own_folders = set(folders)
            for path in (Path(parent) / name for name in (*folders, *files)):
                relative = path.relative_to(self._folder).as_posix()
                is_folder = path.name in own_folders
                if is_folder and not path.is_symlink():
                    continue
                kind = None if is_folder else ignored_as(relative)
                if kind is not None:
                    listing.ignored[kind] += 1
                # Path.resolve raises for a loop of links before Python 3.13.
                elif not Path(os.path.realpath(path)).is_relative_to(self._folder):
                    reason = "link that leads out of the source folder"
                    listing.skipped.append((portable_name(relative), reason))
                elif not path.is_file():
                    reason = "link to a folder" if is_folder else "not a regular file"
                    listing.skipped.append((portable_name(relative), reason))
                else:
                    found.append(relative)
        self._stored = portable_names(found)
        listing.names = list(self._stored)
        return listing.sort()

    def stored_name(self, name: str) -> str:
        """Return the name on the disk of a listed name."""
        return self._stored.get(name, name)

    def read(self, name: str) -> bytes:
        try:
            with (self._folder / self.stored_name(name)).open("rb") as stream:
                return read_limited(stream)
        except OSError as error:
            raise UnusableError(f"cannot be read ({error.strerror})") from None


def _raise_unreadable(error: OSError) -> None:
    raise DataError(f"{error.filename} cannot be listed: {error.strerror}")
