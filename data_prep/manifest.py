"""What a prepared dataset says of itself: `manifest.json`."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from dataclasses import dataclass
from typing import Any, Literal

from data_prep.settings import PrepareSettings
from data_prep.split import Side
from data_prep.typed_json import read_typed

MANIFEST_NAME = "manifest.json"
PLANES = ("L", "a", "b")


@dataclass(frozen=True)
class SettingsEntry:
    """The settings of the preparation."""

    size: int
    split: str
    augment: int
    seed: int
    count: int | None


@dataclass(frozen=True)
class SourceEntry:
    """Where the pictures came from.

    `pictures_digest` covers the content and label of every picture found there, in no order;
    `sha256` is the archive's, where there was one.
    """

    kind: Literal["folder", "zip", "download", "synthetic"]
    location: str
    sha256: str | None
    pictures_digest: str


@dataclass(frozen=True)
class FileEntry:
    """One source picture. `row` is its row in its split, before augmentation."""

    name: str
    sha256: str
    split: Side
    row: int
    subject: str | None
    category: str | None


@dataclass(frozen=True)
class SkippedEntry:
    """A picture that was left out, and why."""

    name: str
    reason: str


@dataclass(frozen=True)
class ArrayEntry:
    """One stored array: `train/L` and so on."""

    shape: tuple[int, int, int]
    sha256: str


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """All of `manifest.json`. `digest` covers the arrays' content and split, nothing else."""

    format: Literal[1] = 1
    dataset: str
    settings: SettingsEntry
    source: SourceEntry
    counts: dict[Side, int]
    files: list[FileEntry]
    skipped: list[SkippedEntry]
    ignored: int
    arrays: dict[str, ArrayEntry]
    digest: str
    versions: dict[str, str]
    created: str

    @classmethod
    def from_json(cls, text: str) -> Manifest:
        """Read a manifest; ValueError, saying what is wrong, if it is none."""
        return read_typed(cls, json.loads(text))

    def to_json(self) -> str:
        return json.dumps(dataclasses.asdict(self), indent=1)

    def summary(self) -> dict[str, Any]:
        """What tells this dataset from others, without its files and arrays; JSON-able."""
        whole = dataclasses.asdict(self)
        return {key: whole[key] for key in ("settings", "source", "counts", "versions")}

    def matches(self, settings: PrepareSettings) -> bool:
        """Tell whether this dataset was prepared with exactly these settings."""
        return self.dataset == settings.dataset and self.settings == settings_entry(settings)


def settings_entry(settings: PrepareSettings) -> SettingsEntry:
    return SettingsEntry(
        size=settings.size,
        split=settings.split,
        augment=settings.augment,
        seed=settings.seed,
        count=settings.count,
    )


def arrays_digest(arrays: dict[str, ArrayEntry]) -> str:
    """Return the digest of the whole: of each array's name (its split), shape and content."""
    rows = sorted((name, entry.shape, entry.sha256) for name, entry in arrays.items())
    return hashlib.sha256(json.dumps(rows).encode()).hexdigest()
