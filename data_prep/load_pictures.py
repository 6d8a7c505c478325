"""Opening a source, and decoding every picture in it that can be used."""

from __future__ import annotations

import hashlib
import warnings
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from data_prep.color import UInt8Array
from data_prep.datasets import DatasetInfo, dataset_info
from data_prep.decode import UnusableError, decode_picture
from data_prep.errors import DataError
from data_prep.manifest import NoteEntry, SkippedEntry
from data_prep.parallel import Progress, map_threads
from data_prep.settings import MIN_PICTURES, PrepareSettings
from data_prep.sources import (
    FolderSource,
    ImageSource,
    ZipSource,
    download_zip,
    path_label,
    subject_id,
)
from data_prep.store import create_array
from data_prep.synthetic import SyntheticSource

DOWNLOADS_FOLDER = "downloads"


@dataclass(frozen=True)
class Picture:
    """A usable picture: its pixels are `pixels[index]` of the Reading."""

    index: int
    name: str
    sha256: str
    label: str | None
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Reading:
    """All usable pictures (sRGB, size x size), and what was skipped."""

    pictures: list[Picture]
    pixels: UInt8Array
    skipped: list[SkippedEntry]
    ignored: int
    notes: list[NoteEntry]
    digest: str


def open_source(
    settings: PrepareSettings,
    source: str | Path | None,
    data_root: Path,
    progress: Progress | None = None,
) -> ImageSource:
    """Open a folder, a zip or the URL of a zip; None is the dataset's own archive or generator."""
    info = dataset_info(settings.dataset)
    if info.synthetic:
        if source is not None:
            raise DataError(f"{info.name} is generated, not read: omit the source {source}")
        return SyntheticSource(settings)
    source = source or info.url or ""
    if str(source).startswith(("http://", "https://")):
        return download_zip(str(source), data_root / DOWNLOADS_FOLDER, info.name, progress)
    path = Path(source)
    with suppress(RuntimeError):  # like a shell, for a `~user` that does not exist
        path = path.expanduser()
    if path.is_dir():
        return FolderSource(path)
    if path.is_file():
        return ZipSource(path)
    # The nearest parent that exists shows where the typing error is.
    parent = next(parent for parent in path.absolute().parents if parent.is_dir())
    raise DataError(
        f"the source {path} does not exist ({parent} does): give a folder, a zip or a URL"
    )


def pictures_digest(source: ImageSource, info: DatasetInfo, progress: Progress | None) -> str:
    """Return the digest that `read_pictures` would find, without decoding anything."""

    def digest(name: str) -> str | None:
        with suppress(UnusableError):
            return hashlib.sha256(source.read(name)).hexdigest()
        return None

    names = source.list().names
    return _digest(names, map_threads(digest, names, "read", progress), info)


def read_pictures(
    source: ImageSource,
    info: DatasetInfo,
    size: int,
    spool: Path,
    progress: Progress | None,
) -> Reading:
    """Decode all pictures into the memory-mapped file `spool`, one row each.

    DataError if fewer than ten are usable.
    """
    listing = source.list()
    pixels = create_array(spool, (max(len(listing.names), 1), size, size, 3))
    digests: list[str | None] = [None] * len(listing.names)

    def read(numbered: tuple[int, str]) -> Picture | SkippedEntry:
        index, name = numbered
        try:
            data = source.read(name)
            digests[index] = sha256 = hashlib.sha256(data).hexdigest()
            decoded = decode_picture(data, size)
        except UnusableError as reason:
            return SkippedEntry(name=name, reason=str(reason))
        pixels[index] = decoded.rgb
        label = path_label(name, info.grouping)
        if label is None and info.grouping == "subject":
            label = subject_id(decoded.comment)
        return Picture(index, name, sha256, label, decoded.notes)

    with warnings.catch_warnings():
        # The manifest lists damaged pictures; Pillow's warnings would repeat them.
        warnings.filterwarnings("ignore", module="PIL")
        results = map_threads(read, list(enumerate(listing.names)), "read", progress)
    skipped = [SkippedEntry(name=name, reason=reason) for name, reason in listing.skipped]
    pictures = [item for item in results if isinstance(item, Picture)]
    reading = Reading(
        pictures=pictures,
        pixels=pixels,
        skipped=skipped + [item for item in results if isinstance(item, SkippedEntry)],
        ignored=listing.ignored,
        notes=[NoteEntry(name=item.name, note=note) for item in pictures for note in item.notes],
        digest=_digest(listing.names, digests, info),
    )
    _check_usable(reading, source, info)
    return reading


def describe_skipped(skipped: Sequence[SkippedEntry]) -> str:
    """Return the number of skipped pictures and the reasons in one phrase."""
    reasons = Counter(entry.reason.split(" (")[0].split(":")[0] for entry in skipped)
    listed = ", ".join(f"{count} {reason}" for reason, count in reasons.most_common())
    return f"{len(skipped)} skipped: {listed}"


def describe_notes(notes: Sequence[NoteEntry]) -> list[str]:
    """Return a phrase per kind of note, with the number of pictures."""
    kinds = Counter(entry.note.split(" (")[0] for entry in notes)
    return [f"{count} with {kind}" for kind, count in kinds.most_common()]


def _check_usable(reading: Reading, source: ImageSource, info: DatasetInfo) -> None:
    count = len(reading.pictures)
    if count < MIN_PICTURES:
        left_out = [describe_skipped(reading.skipped)] if reading.skipped else []
        left_out += [f"{reading.ignored} other files"] if reading.ignored else []
        raise DataError(
            f"only {count} usable images in {source.location} ({', '.join(left_out)}): at least "
            f"{MIN_PICTURES} are needed"
        )
    if info.grouping == "category" and all(image.label is None for image in reading.pictures):
        raise DataError(
            f"no category folders in {source.location} (first image: {reading.pictures[0].name}): "
            f"{info.name} needs <category>/<image>"
        )


def _digest(names: Sequence[str], digests: Sequence[str | None], info: DatasetInfo) -> str:
    """Return the digest of what was readable: content and label of each picture, in no order."""
    marks = [
        (digest, path_label(name, info.grouping) or "")
        for name, digest in zip(names, digests, strict=True)
        if digest is not None
    ]
    return hashlib.sha256(repr(sorted(marks)).encode()).hexdigest()
