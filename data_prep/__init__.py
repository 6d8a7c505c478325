"""From pictures to memory-mapped Lab planes: sources, split, augmentation, storage."""

from __future__ import annotations

from data_prep.color import lab_to_rgb, rgb_to_lab
from data_prep.datasets import DATASETS, DatasetInfo
from data_prep.errors import DataError
from data_prep.manifest import FileEntry, Manifest
from data_prep.prepare import Prepared, prepare
from data_prep.settings import PrepareSettings, dataset_folder
from data_prep.store import Planes, PreparedDataset, open_dataset

__all__ = [
    "DATASETS",
    "DataError",
    "DatasetInfo",
    "FileEntry",
    "Manifest",
    "Planes",
    "PrepareSettings",
    "Prepared",
    "PreparedDataset",
    "dataset_folder",
    "lab_to_rgb",
    "open_dataset",
    "prepare",
    "rgb_to_lab",
]
