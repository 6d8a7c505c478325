"""Where pictures come from: a folder, a zip, or a zip that is downloaded first."""

from __future__ import annotations

from data_prep.sources.download import download_zip as download_zip
from data_prep.sources.download import without_secrets as without_secrets
from data_prep.sources.folder import FolderSource as FolderSource
from data_prep.sources.image_files import ImageSource as ImageSource
from data_prep.sources.image_files import Listing as Listing
from data_prep.sources.labels import path_label as path_label
from data_prep.sources.labels import subject_id as subject_id
from data_prep.sources.zip import ZipSource as ZipSource
