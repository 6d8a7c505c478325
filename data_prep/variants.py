"""The prepared datasets in a folder, and the one that is meant by a name or a digest."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from data_prep.errors import DataError
from data_prep.manifest import MANIFEST_NAME
from data_prep.settings import PrepareSettings, dataset_of_folder
from data_prep.store import PreparedDataset, open_dataset


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


def open_all(data_root: Path) -> tuple[list[PreparedDataset], list[str]]:
    """Open every prepared dataset in a folder; also return what is wrong with damaged ones."""
    opened, problems = [], []
    for folder in variant_folders(data_root):
        try:
            opened.append(open_dataset(folder))
        except DataError as error:
            problems.append(str(error))
    return opened, problems


def open_by_digest(data_root: Path, wanted: str) -> PreparedDataset:
    """Open the prepared dataset whose digest begins with `wanted`, a `DIGEST` or `NAME@DIGEST`.

    Raises DataError, listing what is prepared, unless there is exactly one.
    """
    name, _, prefix = wanted.rpartition("@")
    opened, problems = open_all(data_root)
    found = [
        dataset
        for dataset in opened
        if prefix and dataset.digest.startswith(prefix.lower()) and name in ("", dataset.name)
    ]
    if len(found) == 1:
        return found[0]
    listed = ", ".join(f"{each.digest[:12]} ({each.folder.name})" for each in found or opened)
    of_name = f" of {name}" if name else ""
    if found:
        raise DataError(f"the digest '{prefix}' is that of {len(found)} variants: {listed}")
    damaged = f"; {len(problems)} cannot be opened: see `chromatune datasets`" if problems else ""
    raise DataError(
        f"no prepared data{of_name} in {data_root} with a digest that begins with '{prefix}'; "
        f"there are {listed or 'none'}{damaged}"
    )
