"""The prepared datasets in a folder, as a table."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from data_prep import PreparedDataset, default_variant, open_all
from tuning.display.comparison_table import ResultTable
from tuning.display.table import Table, row
from tuning.errors import ChromatuneError

_COLUMNS = ("digest", "px", "split", "augment", "train/val/test", "folder")


@dataclasses.dataclass(frozen=True)
class DatasetsTable(ResultTable):
    """A row for each variant; `*` marks the one that the dataset's name alone means."""

    root: Path
    datasets: Sequence[PreparedDataset]
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
                Path(each["folder"]).name,
            )
            for each in self.to_json()["datasets"]
        )
        note = "* is used where only the dataset is named; --data DIGEST chooses another"
        caption = f"prepared datasets in {self.root}"
        left = ("digest", "split", "folder")
        return [Table(caption, "dataset", _COLUMNS, rows, (note, *self.problems), left=left)]

    def to_json(self) -> dict[str, Any]:
        folders = [dataset.folder for dataset in self.datasets]
        rows = []
        for dataset in self.datasets:
            manifest = dataset.manifest
            rows.append(
                {
                    "name": dataset.name,
                    "digest": dataset.digest,
                    **manifest.settings.model_dump(),
                    "counts": dict(manifest.counts),
                    "created": manifest.created,
                    "folder": str(dataset.folder.absolute()),
                    "taken": default_variant(folders, dataset.name) == dataset.folder,
                }
            )
        return {"type": "datasets", "datasets": rows, "problems": list(self.problems)}


def datasets_table(root: Path) -> DatasetsTable:
    """List what is prepared below `root`; ChromatuneError if nothing is."""
    datasets, problems = open_all(root)
    if not datasets and not problems:
        raise ChromatuneError(
            f"nothing is prepared in {root}: run `chromatune prepare`, or give --data-root"
        )
    return DatasetsTable(root, datasets, problems)
