"""From a data configuration to the prepared pictures on this machine."""

from __future__ import annotations

from data_prep import DATASETS, PreparedDataset, PrepareSettings, dataset_folder, prepare
from data_prep import open_dataset as open_folder
from tuning.config import DataConfig


def prepare_settings(data: DataConfig) -> PrepareSettings:
    """Translate the configuration; DataError says what is wrong with it."""
    return PrepareSettings(**data.model_dump(exclude={"root"}))


def open_prepared(data: DataConfig) -> PreparedDataset:
    """Open the prepared dataset; a synthetic one is made on the spot if it is not there yet."""
    settings = prepare_settings(data)
    if DATASETS[settings.dataset].synthetic:
        return prepare(settings, data.root).dataset
    return open_folder(dataset_folder(settings, data.root))
