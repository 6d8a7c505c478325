"""The prepared datasets in a folder or a bucket, as a table."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from data_prep import Manifest, default_variant, read_manifests
from tuning.config.schema import DataConfig
from tuning.display.comparison_table import ResultTable
from tuning.display.table import Table, row
from tuning.errors import ChromatuneError
from tuning.launch.remote_data import manifests_in

_COLUMNS = ("digest", "px", "split", "augment", "train/val/test", "folder")


@dataclasses.dataclass(frozen=True)
class DatasetsTable(ResultTable):
    """A row for each variant; `*` marks the one that the dataset's name alone means."""

    root: Path | str
    rows: Sequence[Mapping[str, Any]]
    problems: Sequence[str]

    def tables(self) -> list[Table]:
        rows = tuple(
            row(
                each["name"] + " *" * each["taken"],
                each["digest"][:12],
                str(each["size"]),
                each["split"],
                f"x{each['augment']}",
                "/".join(map(str, each["counts"].values())),
                PurePosixPath(each["folder"]).name,
            )
            for each in self.rows
        )
        notes = ["* is used where only the dataset is named; --data DIGEST chooses another"]
        if not any(each["taken"] for each in self.rows):
            notes = ["--data DIGEST chooses one"]
        caption = f"prepared datasets in {self.root}"
        left = ("digest", "split", "folder")
        return [Table(caption, "dataset", _COLUMNS, rows, (*notes, *self.problems), left=left)]

    def to_json(self) -> dict[str, Any]:
        rows = [dict(each) for each in self.rows]
        return {"type": "datasets", "datasets": rows, "problems": list(self.problems)}


def datasets_table(data: DataConfig) -> DatasetsTable:
    """List what is prepared below `data.root`; ChromatuneError if nothing is."""
    root = data.root
    with contextlib.ExitStack() as stack:
        is_local = isinstance(root, Path)
        folder = root if isinstance(root, Path) else stack.enter_context(manifests_in(root))
        manifests, problems = read_manifests(folder, arrays=is_local)
        place = str(root.absolute()) if isinstance(root, Path) else root
        rows = [
            _row(manifest, f"{place}/{each.name}", default_variant(manifests, manifest.dataset))
            for each, manifest in manifests.items()
        ]
    if not rows and not problems:
        raise ChromatuneError(
            f"nothing is prepared in {root}: run `chromatune prepare`, or give --data-root"
        )
    return DatasetsTable(root, rows, problems)


def _row(manifest: Manifest, folder: str, taken: Path | None) -> dict[str, Any]:
    return {
        "name": manifest.dataset,
        "digest": manifest.digest,
        **manifest.settings.model_dump(),
        "counts": dict(manifest.counts),
        "created": manifest.created,
        "folder": folder,
        "taken": taken is not None and taken.name == PurePosixPath(folder).name,
    }
