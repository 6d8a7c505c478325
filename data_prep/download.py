"""Fetching an archive once, whole: resumed where it broke off, its checksum recorded."""

from __future__ import annotations

import hashlib
import json
import lzma
import time
import zipfile
import zlib
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from data_prep.address import mark_of
from data_prep.errors import DataError
from data_prep.fetch import BrokenOffError, PartialFile, fetch
from data_prep.parallel import Progress
from data_prep.workspace import locked, writing_to
from data_prep.zips import DAMAGED, check_members

_MAX_PAUSE_S = 30.0


@dataclass(frozen=True)
class Archive:
    """A zip on this machine, and the digest of its content."""

    path: Path
    sha256: str


@dataclass(frozen=True)
class _Record:
    """What is remembered of a finished download, in `<archive>.json`."""

    url: str
    sha256: str
    bytes: int


def download_archive(
    url: str,
    path: Path,
    progress: Progress | None = None,
    *,
    attempts: int = 5,
    pause_s: float = 1.0,
) -> Archive:
    """Download the zip at `url` to `path`, or use the one downloaded from there before.

    What has arrived of a download that broke off is kept beside it and completed, in this call or
    a later one. It is given up after `attempts` in a row have brought nothing new, with pauses
    that double from `pause_s`. Raises DataError where it cannot be had or is no whole zip.
    """
    with writing_to(path.parent):
        path.parent.mkdir(parents=True, exist_ok=True)
    with locked(path.with_name(f".{path.name}.lock")):
        known = _finished(url, path)
        if known is not None:
            return known
        part = PartialFile(path.with_name(f"{path.name}.part"), url)
        _complete(part, url, progress, attempts, pause_s)
        _check_zip(part, url)
        sha256 = _sha256(part.path)
        record = _Record(mark_of(url), sha256, part.size())
        with writing_to(path.parent):
            part.move_to(path)
            _record_path(path).write_text(json.dumps(asdict(record), indent=1) + "\n")
        return Archive(path, sha256)


def _complete(
    part: PartialFile, url: str, progress: Progress | None, attempts: int, pause_s: float
) -> None:
    fruitless = 0
    while True:
        before = part.size()
        try:
            fetch(part, url, progress)
            return
        except BrokenOffError as error:
            fruitless = 0 if part.size() > before else fruitless + 1
            if fruitless >= attempts:
                raise DataError(
                    f"the download of {url} broke off ({error}) after {part.size()} bytes, "
                    f"{attempts} times in a row: run the same command again to go on from there, "
                    "or fetch the zip by hand and give it as the source"
                ) from None
        time.sleep(min(pause_s * 2**fruitless, _MAX_PAUSE_S))


def _finished(url: str, path: Path) -> Archive | None:
    """Return the archive if it was downloaded from `url` and is unchanged since."""
    try:
        record: Any = json.loads(_record_path(path).read_text())
        size = path.stat().st_size
    except (OSError, ValueError):
        return None
    wanted = (mark_of(url), size)
    if not isinstance(record, dict) or (record.get("url"), record.get("bytes")) != wanted:
        return None
    sha256 = _sha256(path)
    return Archive(path, sha256) if record.get("sha256") == sha256 else None


def _record_path(path: Path) -> Path:
    return path.with_name(f"{path.name}.json")


def _check_zip(part: PartialFile, url: str) -> None:
    try:
        with zipfile.ZipFile(part.path) as archive:
            check_members(archive, part.size(), url)
            broken = archive.testzip()
    except DataError:
        part.discard()
        raise
    except (*DAMAGED, zlib.error, lzma.LZMAError, RuntimeError) as error:
        with part.path.open("rb") as stream:
            start = stream.read(16)
        size = part.size()
        part.discard()
        raise DataError(
            f"what {url} sent is not a whole zip ({error}; {size} bytes that begin with {start!r}):"
            " fetch it by hand, unpack it if it is another kind of archive, and give it as the "
            "source"
        ) from None
    if broken is not None:
        part.discard()
        raise DataError(f"the zip from {url} is damaged at {broken}: run the command again")


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
