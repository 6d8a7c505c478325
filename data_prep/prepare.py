"""From pictures to a prepared dataset, in one atomic step."""

from __future__ import annotations

import platform
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path

import cv2
import numpy as np

from data_prep.assemble import choose_sides, file_entries, write_arrays
from data_prep.datasets import DatasetInfo, dataset_info
from data_prep.errors import DataError
from data_prep.export import IMAGES_FOLDER, export_pictures
from data_prep.manifest import (
    MANIFEST_NAME,
    Manifest,
    SourceEntry,
    arrays_digest,
    settings_entry,
)
from data_prep.origin import Origin, open_origin
from data_prep.parallel import Progress
from data_prep.reading import (
    describe_skipped,
    list_pictures,
    pictures_digest,
    read_pictures,
)
from data_prep.settings import PrepareSettings, dataset_folder
from data_prep.sources import Listing
from data_prep.split import SIDES
from data_prep.store import PreparedDataset, array_entries, open_dataset
from data_prep.workspace import Workspace, sync_tree, writing_to


@dataclass(frozen=True)
class Prepared:
    """What `prepare` hands back. `created` is False where the dataset was there already."""

    dataset: PreparedDataset
    created: bool
    summary: str


def prepare(
    settings: PrepareSettings,
    data_root: Path,
    *,
    source: str | Path | None = None,
    overwrite: bool = False,
    export_images: bool = False,
    progress: Progress | None = None,
) -> Prepared:
    """Prepare a dataset below `data_root`, or find it there already prepared.

    `source` is a folder, a zip, or the URL of a zip; None means the official archive (downloaded
    once, into `data_root/downloads`) or, for synthetic datasets, the generator. The folder appears
    whole or not at all. Raises DataError where the source is unusable, the disk is full or
    unwritable, or the same settings were prepared from other pictures and `overwrite` is False.
    `progress` is called as `progress(stage, done, total)` from the calling thread.
    """
    data_root = Path(data_root)
    info = dataset_info(settings.dataset)
    workspace = Workspace(dataset_folder(settings, data_root))
    if source is None and not overwrite and not export_images and workspace.target.exists():
        # Nothing is going to be written, so a data root that is only readable will do.
        there = _open_existing(workspace.target, settings)
        return Prepared(there, False, _summary(there, created=False))
    with workspace.exclusive():
        if overwrite or not workspace.target.exists():
            _check_replaceable(workspace.target)
            dataset = None
        else:
            dataset = _open_existing(workspace.target, settings)
        if dataset is None or source is not None:
            with closing(open_origin(settings, info, source, data_root, progress)) as origin:
                listing = list_pictures(origin.source)
                if dataset is None:
                    _build(workspace, settings, info, origin, listing, progress)
                else:
                    _check_same_pictures(dataset, info, origin, listing, progress)
        prepared = open_dataset(workspace.target)
        exported = export_images and not (workspace.target / IMAGES_FOLDER).exists()
        if exported:
            with writing_to(data_root):
                export_pictures(prepared, workspace.begin(), progress)
                workspace.publish_inside(IMAGES_FOLDER)
    created = dataset is None
    return Prepared(prepared, created, _summary(prepared, created=created, exported=exported))


def _check_replaceable(target: Path) -> None:
    """Raise DataError where preparing anew would delete what is no prepared dataset."""
    if target.exists() and not (target / MANIFEST_NAME).is_file():
        raise DataError(f"{target} is in the way and is no prepared dataset: move it elsewhere")


def _open_existing(target: Path, settings: PrepareSettings) -> PreparedDataset:
    _check_replaceable(target)
    dataset = open_dataset(target)
    if not dataset.manifest.matches(settings):
        raise DataError(
            f"{target} was prepared with other settings than its name says: add --overwrite to "
            "replace it, or give it back its name"
        )
    return dataset


def _check_same_pictures(
    dataset: PreparedDataset,
    info: DatasetInfo,
    origin: Origin,
    listing: Listing,
    progress: Progress | None,
) -> None:
    found = pictures_digest(origin.source, listing, info, progress)
    before = dataset.manifest.source
    if found != before.pictures_digest:
        raise DataError(
            f"{dataset.folder} was prepared from other pictures ({before.location}) than those in "
            f"{origin.source.location}: add --overwrite to replace it, or choose another data root"
        )


def _build(
    workspace: Workspace,
    settings: PrepareSettings,
    info: DatasetInfo,
    origin: Origin,
    listing: Listing,
    progress: Progress | None,
) -> None:
    with writing_to(workspace.target.parent):
        folder = workspace.begin()
        spool = folder / "spool.npy"
        reading = read_pictures(origin.source, listing, info, settings.size, spool, progress)
        sides = choose_sides(settings, info, reading)
        arrays = write_arrays(folder, settings, reading, sides, progress)
        spool.unlink()
        with ThreadPoolExecutor(1) as disk:
            # The disk takes what is to be published while the digests are computed.
            synced = disk.submit(sync_tree, folder)
            entries = array_entries(arrays)
        synced.result()
        manifest = Manifest(
            dataset=settings.dataset,
            settings=settings_entry(settings),
            source=SourceEntry(
                kind=origin.kind,
                location=origin.location,
                sha256=origin.sha256,
                pictures_digest=reading.digest,
            ),
            counts={side: len(sides[side]) for side in SIDES},
            files=file_entries(info, reading, sides),
            skipped=reading.skipped,
            ignored=reading.ignored,
            arrays=entries,
            digest=arrays_digest(entries),
            versions=_versions(),
            created=datetime.now(UTC).isoformat(timespec="seconds"),
        )
        (folder / MANIFEST_NAME).write_text(manifest.to_json() + "\n", encoding="utf-8")
        workspace.publish()


def _versions() -> dict[str, str]:
    try:
        own = metadata.version("chromatune")
    except metadata.PackageNotFoundError:
        own = "not installed"
    return {
        "chromatune": own,
        "python": platform.python_version(),
        "numpy": np.__version__,
        "opencv": cv2.__version__,
        "pillow": metadata.version("pillow"),
    }


def _summary(dataset: PreparedDataset, *, created: bool, exported: bool = False) -> str:
    manifest = dataset.manifest
    counts = manifest.counts
    parts = [
        f"{sum(counts.values())} pictures: {counts['train']} train / {counts['val']} val / "
        f"{counts['test']} test",
        f"x{manifest.settings.augment} = {manifest.arrays['train/L'].shape[0]} training rows",
        f"{dataset.size} px",
        f"digest {dataset.digest[:12]}",
    ]
    if manifest.skipped:
        parts.append(describe_skipped(manifest.skipped))
    if manifest.ignored:
        parts.append(f"{manifest.ignored} other files ignored")
    state = "prepared" if created else "already prepared"
    if exported:
        state += f", pictures written to {IMAGES_FOLDER}/"
    elif not created:
        state += ", nothing to do"
    return f"{dataset.folder}: {state} ({'; '.join(parts)})"
