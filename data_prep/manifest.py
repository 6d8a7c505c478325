"""The description of a prepared dataset: `manifest.json`."""

from __future__ import annotations

import hashlib
import json
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from data_prep.settings import PrepareSettings
from data_prep.sources.image_files import Kind
from data_prep.split import Side

MANIFEST_NAME = "manifest.json"
PLANES = ("L", "a", "b")


class _Document(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


class SettingsEntry(_Document):
    """The settings of the preparation, without the name of the dataset."""

    size: int
    split: str
    augment: int
    seed: int
    count: int | None

    @classmethod
    def of(cls, settings: PrepareSettings) -> SettingsEntry:
        return cls.model_validate(settings, from_attributes=True)


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
    """One source picture. `row` is its row in its split, before augmentation."""

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
    """All of `manifest.json`. `digest` covers the arrays' content and split, nothing else."""

    format: Literal[1] = 1
    dataset: str
    settings: SettingsEntry
    source: SourceEntry
    counts: dict[Side, int]
    files: list[FileEntry]
    skipped: list[SkippedEntry]
    ignored: int
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


def arrays_digest(arrays: dict[str, ArrayEntry]) -> str:
    """Return the digest of all arrays: their names (the split), shapes and contents."""
    rows = sorted((name, entry.shape, entry.sha256) for name, entry in arrays.items())
    return hashlib.sha256(json.dumps(rows).encode()).hexdigest()
