"""Prepared data on disk: memory-mapped planes per split, and the manifest beside them."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from tokenize import TokenError

import numpy as np
from pydantic import ValidationError

from data_prep.color import UInt8Array
from data_prep.errors import DataError
from data_prep.manifest import MANIFEST_NAME, PLANES, ArrayEntry, FileEntry, Manifest, data_digest
from data_prep.parallel import map_threads
from data_prep.row_file import RowFile, array_sha256, row_blocks
from data_prep.settings import command_for
from data_prep.split import SIDES, Side

# The name becomes part of file and folder names.
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")


@dataclass(frozen=True)
class Planes:
    """The planes of one split: read-only memory-mapped uint8 (N,H,W) in OpenCV's 8-bit Lab."""

    L: UInt8Array
    a: UInt8Array
    b: UInt8Array


class PreparedDataset:
    """A prepared dataset, opened for reading. Make one with `open_dataset`."""

    def __init__(self, folder: Path, manifest: Manifest) -> None:
        self.folder = folder
        self.manifest = manifest

    @property
    def name(self) -> str:
        return self.manifest.dataset

    @property
    def digest(self) -> str:
        """Digest of the arrays' content and split: equal on every machine that prepares alike."""
        return self.manifest.digest

    @property
    def size(self) -> int:
        return self.manifest.settings.size

    def __repr__(self) -> str:
        counts = ", ".join(f"{count} {side}" for side, count in self.manifest.counts.items())
        return f"<PreparedDataset {self.name}: {counts}, {self.size} px, {self.digest[:12]}>"

    def planes(self, split: Side) -> Planes:
        """Map the planes of a split.

        Rows of train are image-major: the `augment` copies of its first picture, then those of the
        second. Val and test hold one row per picture.
        """
        return Planes(*(self._open(f"{split}/{plane}") for plane in PLANES))

    def row_blocks(self, name: str, rows: int) -> Iterator[UInt8Array]:
        """Read an array such as `train/a` so many rows at a time, without mapping it."""
        self._open(name)
        yield from row_blocks(self.folder / f"{name}.npy", rows)

    def files(self, split: Side) -> list[FileEntry]:
        """Return the source pictures of a split, in the order of its rows."""
        entries = [entry for entry in self.manifest.files if entry.split == split]
        return sorted(entries, key=lambda entry: entry.row)

    def verify(self) -> None:
        """Read every array and compare it with the manifest; DataError if a byte differs."""
        for name, entry in self.manifest.arrays.items():
            self._open(name)
            if array_sha256(self.folder / f"{name}.npy") != entry.sha256:
                raise _damaged(self.folder, f"{name}.npy differs from what was written")

    def _open(self, name: str) -> UInt8Array:
        return open_array(self.folder, name, self.manifest.arrays[name].shape)


def open_array(folder: Path, name: str, expected: tuple[int, ...]) -> UInt8Array:
    """Map the array `name`, such as `train/L`; DataError if it is not there or of another shape."""
    path = folder / f"{name}.npy"
    _check_is_inside(folder, path)
    try:
        # Not np.load, which would take an archive or a pickle for an array.
        array = np.lib.format.open_memmap(path, mode="r")
    except FileNotFoundError:
        raise _damaged(folder, f"{name}.npy is missing") from None
    except (OSError, ValueError, OverflowError, TokenError) as error:
        raise _damaged(folder, f"{name}.npy cannot be read ({error})") from None
    if array.dtype != np.uint8 or array.shape != expected:
        raise _damaged(
            folder,
            f"{name}.npy holds {array.dtype} {array.shape}, its manifest says uint8 {expected}",
        )
    return np.asanyarray(array)


def open_dataset(folder: Path) -> PreparedDataset:
    """Open the dataset prepared in `folder`, after checking that all its arrays are there.

    Raises DataError, naming the command that prepares it, if it is missing or damaged.
    """
    dataset = PreparedDataset(Path(folder), read_manifest(Path(folder)))
    for side in SIDES:
        dataset.planes(side)
    return dataset


def read_manifest(folder: Path) -> Manifest:
    """Read and check the manifest in `folder`, whether the arrays are there or not."""
    _check_is_inside(folder, folder / MANIFEST_NAME)
    try:
        text = (folder / MANIFEST_NAME).read_text(encoding="utf-8")
    except (FileNotFoundError, NotADirectoryError):
        raise DataError(
            f"no prepared dataset in {folder}: run `{command_for(folder.name)}` first"
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise _damaged(folder, f"{MANIFEST_NAME} cannot be read ({error})") from None
    try:
        manifest = Manifest.model_validate_json(text)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"]))
        raise _damaged(folder, f"{MANIFEST_NAME}: {where} {first['msg']}") from None
    if not _NAME.fullmatch(manifest.dataset):
        raise _damaged(folder, f"{MANIFEST_NAME}: {manifest.dataset!r} is not a valid dataset name")
    expected = {f"{side}/{plane}" for side in SIDES for plane in PLANES}
    digest = data_digest(manifest.settings, manifest.arrays, manifest.files)
    if set(manifest.arrays) != expected or digest != manifest.digest:
        raise _damaged(folder, f"{MANIFEST_NAME} contradicts itself")
    return manifest


def array_entries(arrays: Mapping[str, RowFile]) -> dict[str, ArrayEntry]:
    """Describe written arrays for the manifest."""
    paths = [array.path for array in arrays.values()]
    digests = map_threads(array_sha256, paths, "digest", None)
    return {
        name: ArrayEntry(shape=(array.shape[0], array.shape[1], array.shape[2]), sha256=digest)
        for (name, array), digest in zip(arrays.items(), digests, strict=True)
    }


def _check_is_inside(folder: Path, path: Path) -> None:
    """Check that a file of the dataset does not link elsewhere; the folder itself may be a link."""
    name = path.relative_to(folder)
    # Path.resolve raises for a loop of links before Python 3.13.
    if not Path(os.path.realpath(path)).is_relative_to(os.path.realpath(folder)):
        raise _damaged(folder, f"{name} is a link that leads out of it")
    if path.exists() and not path.is_file():
        raise _damaged(folder, f"{name} is not a regular file")


def _damaged(folder: Path, problem: str) -> DataError:
    return DataError(
        f"the prepared dataset {folder} is damaged: {problem}; "
        f"run `{command_for(folder.name)} --overwrite`"
    )
