"""Where pictures come from: a folder, a zip, or a zip that is downloaded first."""

from __future__ import annotations

from data_prep.sources.download import download_zip, without_secrets
from data_prep.sources.folder import FolderSource
from data_prep.sources.labels import path_label, subject_id
from data_prep.sources.listing import ImageSource, Listing
from data_prep.sources.zip import ZipSource

__all__ = [
    "FolderSource",
    "ImageSource",
    "Listing",
    "ZipSource",
    "download_zip",
    "path_label",
    "subject_id",
    "without_secrets",
]
