"""The description of a prepared dataset: `manifest.json`."""

from __future__ import annotations

import hashlib
import json
import os
import re
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, SerializerFunctionWrapHandler, model_serializer

from data_prep.settings import PrepareSettings
from data_prep.sources.image_files import Kind
from data_prep.split import Side

MANIFEST_NAME = "manifest.json"
PLANES = ("L", "a", "b")
# Keys of the manifest itself are indented by one space, and the digest is one of the last.
_TAIL = 1 << 14
_DIGEST = re.compile(rb'^ "digest": "([0-9a-f]{64})"', re.MULTILINE)


class _Document(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


class SettingsEntry(_Document):
    """The settings of the preparation, without the name of the dataset."""

    size: int
    split: str
    augment: int
    seed: int
    count: int | None
    group_by: str | None = None

    @model_serializer(mode="wrap")
    def _as_before(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leave out what older versions did not write, where it has its default."""
        values: dict[str, Any] = handler(self)
        if self.group_by is None:
            values.pop("group_by", None)
        return values

    @classmethod
    def of(cls, settings: PrepareSettings) -> SettingsEntry:
        return cls.model_validate(settings, from_attributes=True)

    def full(self, dataset: str) -> PrepareSettings:
        """Return the settings with the name of the dataset; DataError if they are not valid."""
        return PrepareSettings(dataset, **dict(self))


class SourceEntry(_Document):
    """Where the pictures came from.

    `pictures_digest` covers the content and label of every picture found there, in no order;
    `sha256` is the archive's, if there was one.
    """

    kind: Kind
    location: str
    sha256: str | None
    pictures_digest: str


class FileEntry(_Document):
    """One source picture. `row` is its row in its split, before augmentation.

    `subject` or `category` is its group: the latter also of datasets of the user's own.
    """

    name: str
    sha256: str
    split: Side
    row: int
    subject: str | None
    category: str | None


class SkippedEntry(_Document):
    """A picture that was skipped, and why."""

    name: str
    reason: str


class NoteEntry(_Document):
    """A picture in whose reading something was assumed, and what."""

    name: str
    note: str


class ArrayEntry(_Document):
    """One stored array, such as `train/L`."""

    shape: tuple[int, int, int]
    sha256: str


class Manifest(_Document):
    """All of `manifest.json`.

    `digest` covers the arrays' content and split; where the user chose how pictures are grouped or
    split, also this and the groups. See `data_digest`.
    """

    format: Literal[1] = 1
    dataset: str
    settings: SettingsEntry
    source: SourceEntry
    counts: dict[Side, int]
    files: list[FileEntry]
    skipped: list[SkippedEntry]
    ignored: dict[str, int] | int  # by extension; in older manifests the total
    notes: list[NoteEntry] = []  # absent in older manifests
    arrays: dict[str, ArrayEntry]
    digest: str
    versions: dict[str, str]
    created: str

    def summary(self) -> dict[str, Any]:
        """Return what tells this dataset from others, without its files and arrays; JSON-able."""
        return self.model_dump(include={"settings", "source", "counts", "versions"})

    def matches(self, settings: PrepareSettings) -> bool:
        """Whether this dataset was prepared with exactly these settings."""
        return self.dataset == settings.dataset and self.settings == SettingsEntry.of(settings)


def data_digest(
    settings: SettingsEntry, arrays: dict[str, ArrayEntry], files: list[FileEntry]
) -> str:
    """Return the digest of all arrays: their names (the split), shapes and contents.

    It also covers grouping and split rule, and each picture's group, unless both are defaults,
    which had digests before there was a choice.
    """
    rows = sorted((name, entry.shape, entry.sha256) for name, entry in arrays.items())
    if settings.group_by is not None or settings.split not in ("random", "subject"):
        groups = sorted((file.split, file.row, file.category or file.subject) for file in files)
        covered: list[Any] = [rows, settings.split, settings.group_by, groups]
    else:
        covered = rows
    return hashlib.sha256(json.dumps(covered).encode()).hexdigest()


def stored_digest(folder: Path) -> str | None:
    """Return the digest of the data prepared in `folder`; None if there are none.

    It reads the end of the manifest alone, which is 30 MB long for 100 000 pictures. So it tells
    one dataset from another, and does not validate it: see `open_dataset`.
    """
    with suppress(OSError), (folder / MANIFEST_NAME).open("rb") as stream:
        stream.seek(max(0, stream.seek(0, os.SEEK_END) - _TAIL))
        found = _DIGEST.findall(stream.read())
        return str(found[-1], "ascii") if found else None
    return None
