"""Reading every picture of a source, and setting aside those that cannot be used."""

from __future__ import annotations

import hashlib
import warnings
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from data_prep.datasets import DatasetInfo
from data_prep.decode import UnusableError, decode_picture
from data_prep.errors import DataError
from data_prep.lab import UInt8Array
from data_prep.layout import path_label, subject_id
from data_prep.manifest import SkippedEntry
from data_prep.parallel import Progress, map_threads
from data_prep.settings import MIN_PICTURES
from data_prep.sources import Listing, PictureSource, describe_listing
from data_prep.store import create_array


@dataclass(frozen=True)
class Picture:
    """A usable picture: its pixels are `pixels[index]` of the Reading."""

    index: int
    name: str
    sha256: str
    label: str | None


@dataclass(frozen=True)
class Reading:
    """All usable pictures (sRGB, size x size), and what was left out."""

    pictures: list[Picture]
    pixels: UInt8Array
    skipped: list[SkippedEntry]
    ignored: int
    digest: str


def list_pictures(source: PictureSource) -> Listing:
    """List the source; DataError if it holds no picture at all."""
    listing = source.list()
    if not listing.names and not listing.skipped:
        raise DataError(
            f"no pictures in {source.location} ({listing.ignored} other files): "
            "give the folder or zip that holds them"
        )
    return listing


def pictures_digest(
    source: PictureSource, listing: Listing, info: DatasetInfo, progress: Progress | None
) -> str:
    """Return the digest that `read_pictures` would find, without decoding anything."""

    def fingerprint(name: str) -> tuple[str, str] | None:
        try:
            return _fingerprint(source.read(name), path_label(name, info.grouping))
        except UnusableError:
            return None

    found = map_threads(fingerprint, listing.names, "read", progress)
    return _digest([mark for mark in found if mark is not None])


def read_pictures(
    source: PictureSource,
    listing: Listing,
    info: DatasetInfo,
    size: int,
    spool: Path,
    progress: Progress | None,
) -> Reading:
    """Decode all pictures into the memory-mapped file `spool`, one row each.

    DataError if fewer than ten are usable.
    """
    pixels = create_array(spool, (max(len(listing.names), 1), size, size, 3))

    def read(
        numbered: tuple[int, str],
    ) -> tuple[tuple[str, str] | None, Picture | SkippedEntry]:
        index, name = numbered
        label = path_label(name, info.grouping)
        mark = None
        try:
            data = source.read(name)
            mark = _fingerprint(data, label)
            pixels[index], comment = decode_picture(data, size)
        except UnusableError as reason:
            return mark, SkippedEntry(name=name, reason=str(reason))
        if label is None and info.grouping == "subject":
            label = subject_id(comment)
        return mark, Picture(index, name, mark[0], label)

    with warnings.catch_warnings():
        # A damaged picture is told in the manifest; what Pillow says on the way is noise.
        warnings.filterwarnings("ignore", module="PIL")
        results = map_threads(read, list(enumerate(listing.names)), "read", progress)
    passed = [SkippedEntry(name=name, reason=reason) for name, reason in listing.skipped]
    reading = Reading(
        pictures=[item for _, item in results if isinstance(item, Picture)],
        pixels=pixels,
        skipped=passed + [item for _, item in results if isinstance(item, SkippedEntry)],
        ignored=listing.ignored,
        digest=_digest([mark for mark, _ in results if mark is not None]),
    )
    _check_usable(reading, source, info)
    return reading


def describe_skipped(skipped: Sequence[SkippedEntry]) -> str:
    """Say how many pictures were left out and why, in one phrase; empty if none."""
    if not skipped:
        return ""
    reasons = Counter(entry.reason.split(" (")[0].split(":")[0] for entry in skipped)
    listed = ", ".join(f"{count} {reason}" for reason, count in reasons.most_common())
    return f"{len(skipped)} skipped: {listed}"


def _check_usable(reading: Reading, source: PictureSource, info: DatasetInfo) -> None:
    usable = len(reading.pictures)
    if usable < MIN_PICTURES:
        skipped = describe_skipped(reading.skipped)
        raise DataError(
            f"only {usable} usable pictures in {source.location}"
            f"{' (' + skipped + ')' if skipped else ''}: at least {MIN_PICTURES} are needed"
        )
    unlabelled = [picture.name for picture in reading.pictures if picture.label is None]
    if info.grouping == "category" and len(unlabelled) == usable:
        raise DataError(
            f"no category folders in {source.location} ({describe_listing(unlabelled)}): "
            f"{info.name} expects <category>/<picture>"
        )


def _fingerprint(data: bytes, label: str | None) -> tuple[str, str]:
    return hashlib.sha256(data).hexdigest(), label or ""


def _digest(marks: list[tuple[str, str]]) -> str:
    return hashlib.sha256(repr(sorted(marks)).encode()).hexdigest()
