"""Find the pictures to colorize and choose where each result goes."""

from __future__ import annotations

import dataclasses
import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from data_prep.sources import FolderSource
from data_prep.sources.image_files import describe_ignored
from tuning.errors import ChromatuneError, nearest

SHEETS = "sheets"


@dataclasses.dataclass(frozen=True)
class Job:
    """One picture: `source` is read, its colorized version and the sheet are written.

    `name` is shown to users: the path, relative to the folder if only one was given. It is always
    printable.
    """

    name: str
    source: Path
    picture: Path
    sheet: Path


@dataclasses.dataclass(frozen=True)
class Listing:
    """The jobs in the order of the paths, skipped files with the reason, and the others by kind."""

    jobs: list[Job]
    skipped: list[tuple[str, str]]
    ignored: Counter[str]


def list_jobs(paths: Sequence[Path], out: Path) -> Listing:
    """Find the pictures in files and folders and give each a place in `out`.

    Subfolders are kept; earlier results in `out` are no input. A picture given twice is colorized
    once, and pictures of the same name get different results. Raises ChromatuneError if a path is
    missing, there is no picture, or a result would replace a picture.
    """
    found: dict[Path, tuple[Path, PurePosixPath]] = {}
    listing = Listing([], [], Counter())
    for path in paths:
        for source, relative in _pictures(path, out, listing):
            found.setdefault(source.resolve(), (source, relative))
    if not found:
        reasons = [f"{name}: {reason}" for name, reason in listing.skipped[:1]]
        reasons += [describe_ignored(listing.ignored)] if listing.ignored else []
        raise ChromatuneError(": ".join([f"no images in {', '.join(map(str, paths))}", *reasons]))
    taken: set[PurePosixPath] = set()
    jobs = listing.jobs
    for source, (named, relative) in found.items():
        # File names need not be valid text.
        name = os.fsencode(relative if len(paths) == 1 else named).decode(errors="replace")
        place = _free(relative.with_suffix(".png"), taken)
        taken |= {place, SHEETS / place}
        jobs.append(Job(name, source, out / place, out / SHEETS / place))
    for job in jobs:
        for target in (job.picture, job.sheet):
            if target.resolve() in found:
                raise ChromatuneError(
                    f"the result would replace the image {target}: choose another folder with --out"
                )
    return listing


def _pictures(path: Path, out: Path, listing: Listing) -> list[tuple[Path, PurePosixPath]]:
    """The pictures that a path names, each with its place below the path."""
    if path.is_file():
        return [(path, PurePosixPath(path.name))]
    if not path.is_dir():
        siblings = [other.name for other in path.parent.iterdir()] if path.parent.is_dir() else []
        raise ChromatuneError(f"there is no image or folder {path}{nearest(path.name, siblings)}")
    if out.resolve() == path.resolve():
        raise ChromatuneError(
            f"--out {out} is the folder of the images: choose another one for the results"
        )
    folder = FolderSource(path)
    found = folder.list()
    listing.skipped.extend((str(path / name), reason) for name, reason in found.skipped)
    listing.ignored.update(found.ignored)
    inside = out.resolve().is_relative_to(path.resolve())
    pictures = [
        (path / stored, PurePosixPath(stored)) for stored in map(folder.stored_name, found.names)
    ]
    return [
        (source, name)
        for source, name in pictures
        if not (inside and source.resolve().is_relative_to(out.resolve()))
    ]


def _free(place: PurePosixPath, taken: set[PurePosixPath]) -> PurePosixPath:
    """The place itself, or the first of `name-2.png`, `name-3.png`, … that is free."""
    number, free = 1, place
    while free in taken or SHEETS / free in taken:
        number += 1
        free = place.with_stem(f"{place.stem}-{number}")
    return free
