"""Opening a source, and decoding every picture in it that can be used."""

from __future__ import annotations

import hashlib
import warnings
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from data_prep.datasets import DATASETS, dataset_info
from data_prep.decode import UnusableError, decode_picture
from data_prep.errors import DataError, nearest
from data_prep.given_split import GivenSplit, split_by_file, split_by_folders
from data_prep.grouping import NONE, path_group
from data_prep.manifest import NoteEntry, SkippedEntry
from data_prep.parallel import Progress, map_threads
from data_prep.row_file import RowFile
from data_prep.settings import MIN_PICTURES, PrepareSettings
from data_prep.sources import (
    FolderSource,
    ImageSource,
    Listing,
    ZipSource,
    download_zip,
    subject_id,
)
from data_prep.sources.image_files import describe_ignored
from data_prep.split import Side
from data_prep.synthetic import SyntheticSource

DOWNLOADS_FOLDER = "downloads"


@dataclass(frozen=True, slots=True)
class Picture:
    """A usable picture: its pixels are row `index` of the Reading's; `side` where it is given."""

    index: int
    name: str
    sha256: str
    label: str | None
    notes: tuple[str, ...]
    side: Side | None = None


@dataclass(frozen=True)
class Reading:
    """All usable pictures (sRGB, size x size), and what was skipped."""

    pictures: list[Picture]
    pixels: RowFile
    skipped: list[SkippedEntry]
    ignored: dict[str, int]
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
    source = source or info.url
    if source is None:
        raise DataError(
            f"{info.name} has no archive of its own: give its images with --source FOLDER, ZIP or "
            f"URL{nearest(info.name, DATASETS)}"
        )
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


@dataclass(frozen=True)
class Names:
    """The pictures that a source has for these settings, and what is known of them by name."""

    listing: Listing
    settings: PrepareSettings
    given: GivenSplit | None

    def label(self, name: str) -> str | None:
        """The group of a picture, as far as its path tells."""
        path = self.given.within.get(name, name) if self.given else name
        return path_group(path, self.settings.grouping)

    def side(self, name: str) -> Side | None:
        return self.given.sides[name] if self.given else None


def list_pictures(
    source: ImageSource, settings: PrepareSettings, sides: Mapping[str, Side] | None
) -> Names:
    """List the pictures of a source, without those that a given split leaves out.

    `sides` is the split of a file. Raises DataError if the split is given in another way.
    """
    listing = source.list()
    given = None
    if sides is not None:
        given = split_by_file(sides, listing.names, source.location)
    elif settings.is_given:
        given = split_by_folders(listing.names, source.location)
        if given is None or settings.split != "given":
            is_file = settings.split != "given"
            needed = "its file" if is_file else "folders named train, val and test"
            raise DataError(f"the split '{settings.split}' of {source.location} needs {needed}")
    if given is not None:
        left_out = [(name, given.reason) for name in listing.names if name not in given.sides]
        listing.names = [name for name in listing.names if name in given.sides]
        listing.skipped += left_out
    return Names(listing, settings, given)


def pictures_digest(source: ImageSource, names: Names, progress: Progress | None) -> str:
    """Return the digest that `read_pictures` would find, without decoding anything."""

    def digest(name: str) -> str | None:
        with suppress(UnusableError):
            return hashlib.sha256(source.read(name)).hexdigest()
        return None

    return _digest(names, map_threads(digest, names.listing.names, "read", progress))


def read_pictures(
    source: ImageSource,
    names: Names,
    pixels: RowFile,
    progress: Progress | None,
) -> Reading:
    """Decode all pictures into `pixels`, one row each.

    DataError if fewer than ten are usable.
    """
    listing, size = names.listing, names.settings.size
    digests: list[str | None] = [None] * len(listing.names)

    def read(numbered: tuple[int, str]) -> Picture | SkippedEntry:
        index, name = numbered
        try:
            data = source.read(name)
            digests[index] = sha256 = hashlib.sha256(data).hexdigest()
            decoded = decode_picture(data, size)
        except UnusableError as reason:
            return SkippedEntry(name=name, reason=str(reason))
        pixels.write(index, decoded.rgb)
        label = names.label(name)
        if label is None and names.settings.grouping == "subject":
            label = subject_id(decoded.comment)
        return Picture(index, name, sha256, label, decoded.notes, names.side(name))

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
        ignored=dict(listing.ignored),
        notes=[NoteEntry(name=item.name, note=note) for item in pictures for note in item.notes],
        digest=_digest(names, digests),
    )
    _check_usable(reading, source, names.settings)
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


def _check_usable(reading: Reading, source: ImageSource, settings: PrepareSettings) -> None:
    count = len(reading.pictures)
    if count < MIN_PICTURES:
        left_out = [describe_skipped(reading.skipped)] if reading.skipped else []
        left_out += [describe_ignored(reading.ignored)] if reading.ignored else []
        why = f" ({', '.join(left_out)})" if left_out else ""
        raise DataError(
            f"only {count} usable images in {source.location}{why}: at least {MIN_PICTURES} are "
            f"needed"
        )
    rule = settings.grouping
    # Not every picture of a known layout tells its subject, which a random split does not need.
    if rule in ("subject", NONE) or any(image.label is not None for image in reading.pictures):
        return
    where = f"in {source.location} (first image: {reading.pictures[0].name})"
    if rule == "category":
        raise DataError(f"no category folders {where}: {settings.dataset} needs <category>/<image>")
    raise DataError(f"no groups {where}: '{rule}' finds none in any path")


def _digest(names: Names, digests: Sequence[str | None]) -> str:
    """Return the digest of what was readable: content and label of each picture, in no order.

    With a given split, also its side.
    """
    marks = [
        (digest, "/".join(filter(None, (names.side(name), names.label(name)))))
        for name, digest in zip(names.listing.names, digests, strict=True)
        if digest is not None
    ]
    return hashlib.sha256(repr(sorted(marks)).encode()).hexdigest()
