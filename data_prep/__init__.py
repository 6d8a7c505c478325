"""From pictures to memory-mapped Lab planes: sources, split, augmentation, storage."""

from __future__ import annotations

from data_prep.color import lab_to_rgb as lab_to_rgb
from data_prep.color import rgb_to_lab as rgb_to_lab
from data_prep.datasets import DATASETS as DATASETS
from data_prep.datasets import dataset_info as dataset_info
from data_prep.errors import DataError as DataError
from data_prep.given_split import read_sides as read_sides
from data_prep.given_split import split_name as split_name
from data_prep.manifest import MANIFEST_NAME as MANIFEST_NAME
from data_prep.manifest import PLANES as PLANES
from data_prep.manifest import Manifest as Manifest
from data_prep.manifest import stored_digest as stored_digest
from data_prep.parallel import Progress as Progress
from data_prep.prepare import Prepared as Prepared
from data_prep.prepare import has_split_folders as has_split_folders
from data_prep.prepare import prepare as prepare
from data_prep.settings import PrepareSettings as PrepareSettings
from data_prep.settings import check_split as check_split
from data_prep.settings import command_for as command_for
from data_prep.settings import dataset_folder as dataset_folder
from data_prep.settings import dataset_of_folder as dataset_of_folder
from data_prep.split import SIDES as SIDES
from data_prep.split import Side as Side
from data_prep.store import PreparedDataset as PreparedDataset
from data_prep.store import open_array as open_array
from data_prep.store import open_dataset as open_dataset
from data_prep.variants import default_variant as default_variant
from data_prep.variants import find_by_digest as find_by_digest
from data_prep.variants import read_manifests as read_manifests
from data_prep.variants import variant_folders as variant_folders
