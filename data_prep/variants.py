"""The prepared datasets in a folder, and the one that is meant by a name or a digest."""

from __future__ import annotations

import re
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from data_prep.errors import DataError
from data_prep.manifest import MANIFEST_NAME, Manifest, stored_digest
from data_prep.settings import PrepareSettings, dataset_of_folder
from data_prep.store import open_dataset, read_manifest

_HEAD = 1 << 10
_DATASET = re.compile(rb'^ "dataset": "([a-z0-9-]+)"', re.MULTILINE)


def variant_folders(data_root: Path, dataset: str | None = None) -> list[Path]:
    """Return the folders of prepared datasets, sorted; with `dataset`, of its variants alone."""
    folders = sorted(manifest.parent for manifest in Path(data_root).glob(f"*/{MANIFEST_NAME}"))
    if dataset is None:
        return folders
    return [folder for folder in folders if dataset_of_folder(folder.name) == dataset]


def default_variant(folders: Iterable[Path], dataset: str) -> Path | None:
    """Return the variant of `dataset` that its name alone means; None if it means none.

    That is the only variant, or of several the one with the default settings.
    """
    own = [folder for folder in folders if dataset_of_folder(folder.name) == dataset]
    default = PrepareSettings(dataset).folder_name
    return own[0] if len(own) == 1 else next((f for f in own if f.name == default), None)


def read_manifests(
    data_root: Path, *, arrays: bool = True
) -> tuple[dict[Path, Manifest], list[str]]:
    """Read all manifests in a data root; also return what is wrong with damaged datasets.

    With `arrays`, it is checked that the arrays are there.
    """
    found, problems = {}, []
    for folder in variant_folders(data_root):
        try:
            found[folder] = open_dataset(folder).manifest if arrays else read_manifest(folder)
        except DataError as error:
            problems.append(str(error))
    return found, problems


def find_by_digest(data_root: Path, wanted: str) -> Path:
    """Return the folder of the data whose digest begins with `wanted`: `DIGEST` or `NAME@DIGEST`.

    Raises DataError, listing what is prepared, unless there is exactly one.
    """
    name, _, prefix = wanted.rpartition("@")
    folders = variant_folders(data_root)
    digests = {folder: stored_digest(folder) or "" for folder in folders}
    found = [
        folder
        for folder, digest in digests.items()
        if prefix and digest.startswith(prefix.lower()) and name in ("", _dataset_of(folder))
    ]
    if len(found) == 1:
        return found[0]
    listed = ", ".join(
        f"{digests[folder][:12]} ({folder.name})" for folder in found or folders if digests[folder]
    )
    if found:
        raise DataError(f"the digest '{prefix}' is that of {len(found)} variants: {listed}")
    of_name = f" of {name}" if name else ""
    raise DataError(
        f"no prepared data{of_name} with a digest that begins with '{prefix}'; there are "
        f"{listed or 'none'}"
    )


def _dataset_of(folder: Path) -> str | None:
    """The dataset that a manifest names near its beginning; copies have other folder names."""
    with suppress(OSError), (folder / MANIFEST_NAME).open("rb") as stream:
        found = _DATASET.search(stream.read(_HEAD))
        return str(found[1], "ascii") if found else None
    return None
