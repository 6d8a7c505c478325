"""Preparing a dataset: known ones, and anybody's own pictures under a name of their own."""

from __future__ import annotations

from pathlib import Path

from data_prep import (
    Prepared,
    Progress,
    Side,
    has_split_folders,
    prepare,
    read_sides,
    split_name,
)
from tuning.config.schema import DataConfig
from tuning.launch.open_dataset import local_root, prepare_settings
from tuning.utils.environment import expanded


def run_prepare(
    data: DataConfig, source: str | None, *, overwrite: bool, progress: Progress | None = None
) -> Prepared:
    """Prepare the images in `source`, a folder, a zip or a URL, by default those of the name.

    `data.split` may be a CSV file of paths and sides. Where it is not set, folders `train`, `val`
    and `test` in the source are the split. Raises DataError for whatever is unusable.
    """
    root = local_root(data)
    sides: dict[str, Side] | None = None
    if data.split.lower().endswith(".csv"):
        sides = read_sides(expanded(Path(data.split)))
        data = data.model_copy(update={"split": split_name(sides)})
    settings = prepare_settings(data)
    if (
        source is not None
        and "split" not in data.model_fields_set
        and has_split_folders(settings, source, root, progress)
    ):
        settings = prepare_settings(data.model_copy(update={"split": "given"}))
    return prepare(
        *(settings, root),
        source=source,
        sides=sides,
        overwrite=overwrite,
        progress=progress,
    )
