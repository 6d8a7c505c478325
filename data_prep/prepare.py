"""From pictures to a prepared dataset, in one atomic step."""

from __future__ import annotations

import platform
from collections import Counter
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path

import cv2
import numpy as np

from data_prep.assemble import choose_sides, file_entries, write_arrays
from data_prep.datasets import dataset_info
from data_prep.errors import DataError
from data_prep.given_split import shared_pictures, split_by_folders
from data_prep.grouping import NONE
from data_prep.load_pictures import (
    Names,
    describe_notes,
    describe_skipped,
    list_pictures,
    open_source,
    pictures_digest,
    read_pictures,
)
from data_prep.manifest import MANIFEST_NAME, Manifest, SettingsEntry, SourceEntry, data_digest
from data_prep.parallel import Progress
from data_prep.row_file import RowFile
from data_prep.settings import PrepareSettings, dataset_folder
from data_prep.sources import ImageSource
from data_prep.sources.image_files import describe_ignored
from data_prep.split import SIDES, Side
from data_prep.store import PreparedDataset, array_entries, open_dataset
from data_prep.workspace import Workspace, sync_tree, writing_to


@dataclass(frozen=True)
class Prepared:
    """The result of `prepare`. `created` is False if the dataset already existed."""

    dataset: PreparedDataset
    created: bool
    summary: str


def prepare(
    settings: PrepareSettings,
    data_root: Path,
    *,
    source: str | Path | None = None,
    sides: Mapping[str, Side] | None = None,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> Prepared:
    """Prepare a dataset below `data_root`, unless it is already there.

    `source` is a folder, a zip, or the URL of a zip; None means the official archive (downloaded
    once, into `data_root/downloads`) or, for synthetic datasets, the generator. `sides` is a split
    by file, which `settings.split` names: see `read_sides` and `split_name`. The folder appears
    whole or not at all. Raises DataError if the source is unusable, the disk is full or
    unwritable, or the same settings were prepared from other pictures and `overwrite` is False.
    `progress` is called as `progress(stage, done, total)` from the calling thread.
    """
    data_root = Path(data_root)
    workspace = Workspace(dataset_folder(settings, data_root))
    target = workspace.target
    if target.exists() and not (target / MANIFEST_NAME).is_file():
        raise DataError(f"{target} is in the way and not a prepared dataset: move it elsewhere")
    if target.exists() and source is None and not overwrite:
        # Nothing will be written, so a read-only data root will do.
        existing = _open_existing(target, settings)
        return Prepared(existing, False, _summary(existing, "already prepared, nothing to do"))
    with workspace.exclusive():
        created = overwrite or not target.exists()
        dataset = None if created else _open_existing(target, settings)
        if dataset is None or source is not None:
            with closing(open_source(settings, source, data_root, progress)) as opened:
                names = list_pictures(opened, settings, sides)
                if dataset is None:
                    _build(workspace, names, opened, progress)
                else:
                    _check_same_images(dataset, names, opened, progress)
        dataset = open_dataset(target)
    state = "prepared" if created else "already prepared, nothing to do"
    return Prepared(dataset, created, _summary(dataset, state))


def has_split_folders(
    settings: PrepareSettings,
    source: str | Path,
    data_root: Path,
    progress: Progress | None = None,
) -> bool:
    """Whether a source has folders train, val and test; DataError if it has only some of them."""
    if dataset_info(settings.dataset).synthetic:
        return False
    with closing(open_source(settings, source, Path(data_root), progress)) as opened:
        return split_by_folders(opened.list().names, opened.location) is not None


def _open_existing(target: Path, settings: PrepareSettings) -> PreparedDataset:
    dataset = open_dataset(target)
    if not dataset.manifest.matches(settings):
        raise DataError(
            f"{target} was prepared with other settings than its name says: add --overwrite to "
            "replace it, or rename it back"
        )
    return dataset


def _check_same_images(
    dataset: PreparedDataset, names: Names, source: ImageSource, progress: Progress | None
) -> None:
    before = dataset.manifest.source
    if pictures_digest(source, names, progress) != before.pictures_digest:
        raise DataError(
            f"{dataset.folder} was prepared from other images ({before.location}) than those in "
            f"{source.location}: add --overwrite to replace it, or choose another data root"
        )


def _build(
    workspace: Workspace, names: Names, source: ImageSource, progress: Progress | None
) -> None:
    settings = names.settings
    with writing_to(workspace.target.parent):
        folder = workspace.begin()
        spool = folder / "spool.npy"
        shape = (max(len(names.listing.names), 1), settings.size, settings.size, 3)
        with closing(RowFile(spool, shape)) as pixels:
            reading = read_pictures(source, names, pixels, progress)
            sides = choose_sides(settings, reading)
            arrays = write_arrays(folder, settings, reading, sides, progress)
        spool.unlink()
        with ThreadPoolExecutor(1) as disk:
            # The disk is flushed while the digests are computed.
            synced = disk.submit(sync_tree, folder)
            entries = array_entries(arrays)
        synced.result()
        written = SettingsEntry.of(settings)
        files = file_entries(settings, reading, sides)
        manifest = Manifest(
            dataset=settings.dataset,
            settings=written,
            source=SourceEntry(
                kind=source.kind,
                location=source.location,
                sha256=source.sha256(),
                pictures_digest=reading.digest,
            ),
            counts={side: len(sides[side]) for side in SIDES},
            files=files,
            skipped=reading.skipped,
            ignored=reading.ignored,
            notes=reading.notes,
            arrays=entries,
            digest=data_digest(written, entries, files),
            versions={
                "chromatune": metadata.version("chromatune"),
                "python": platform.python_version(),
                "numpy": np.__version__,
                "opencv": cv2.__version__,
                "pillow": metadata.version("pillow"),
            },
            created=datetime.now(UTC).isoformat(timespec="seconds"),
        )
        text = manifest.model_dump_json(indent=1)
        (folder / MANIFEST_NAME).write_text(text + "\n", encoding="utf-8")
        workspace.publish()


def _summary(dataset: PreparedDataset, state: str) -> str:
    manifest = dataset.manifest
    counts = manifest.counts
    parts = [
        f"{sum(counts.values())} images: {counts['train']} train / {counts['val']} val / "
        f"{counts['test']} test",
        f"x{manifest.settings.augment} = {manifest.arrays['train/L'].shape[0]} training rows",
        f"{dataset.size} px",
        f"digest {dataset.digest[:12]}",
    ]
    parts += _groups(manifest)
    shared = shared_pictures((file.sha256, file.split) for file in manifest.files)
    if shared:
        words = "picture is" if shared == 1 else "pictures are"
        parts.append(f"{shared} {words} in more than one split")
    if manifest.skipped:
        parts.append(describe_skipped(manifest.skipped))
    parts += describe_notes(manifest.notes)
    if manifest.ignored:
        parts.append(describe_ignored(manifest.ignored))
    return f"{dataset.folder}: {state} ({'; '.join(parts)})"


def _groups(manifest: Manifest) -> list[str]:
    """Say how many groups there are, how many images have none, and where one is looked for."""
    settings = manifest.settings.full(manifest.dataset)
    groups = Counter(file.category or file.subject for file in manifest.files)
    unknown = groups.pop(None, 0)
    parts = [f"{len(groups)} group{'s' * (len(groups) > 1)}"] if groups else []
    if unknown and settings.grouping != NONE:
        looked_for = {
            "subject": "no folder s01, s02, … and no JPEG comment s1",
            "category": "in no folder of a category",
        }.get(settings.grouping, f"'{settings.grouping}' finds none")
        of = f"{unknown} of {len(manifest.files)} images"
        parts.append(f"{of} without a group ({looked_for}; see --group-by)")
    return parts
