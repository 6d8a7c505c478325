"""Datasets by name: those that are known, with what is known of them, and anybody's own."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from data_prep.errors import DataError

_DRIVE = "https://drive.google.com/uc?export=download"
# The name becomes part of the names of folders and registered models.
_NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
_MAX_NAME = 60


@dataclass(frozen=True)
class DatasetInfo:
    """A dataset's name, its official archive, and how its pictures are grouped.

    `grouping` says what its folders (or JPEG comments) name: the person shown, or the category that
    the split is stratified by; None for a dataset of the user's own. `default_count` is the number
    of pictures of a synthetic dataset.
    """

    name: str
    grouping: Literal["subject", "category"] | None = None
    url: str | None = None
    default_count: int | None = None

    @property
    def synthetic(self) -> bool:
        return self.default_count is not None


DATASETS: Mapping[str, DatasetInfo] = {
    info.name: info
    for info in (
        # The Georgia Tech face database, http://www.anefian.com/research/face_reco.htm
        DatasetInfo("faces", "subject", url="http://www.anefian.com/research/gt_db.zip"),
        # The Natural-Color Dataset, https://github.com/saeed-anwar/ColorSurvey
        DatasetInfo("ncd", "category", url=f"{_DRIVE}&id=1k_UvYzdrHbphW4UcbDb9jWB0ZQIAGEAo"),
        DatasetInfo("synthetic-faces", "subject", default_count=400),
        DatasetInfo("synthetic-fruits", "category", default_count=300),
    )
}


def dataset_info(name: str) -> DatasetInfo:
    """Return what is known of the dataset `name`; DataError if it cannot be a dataset's name."""
    if name in DATASETS:
        return DATASETS[name]
    if not _NAME.fullmatch(name) or len(name) > _MAX_NAME:
        raise DataError(
            f"'{name}' cannot be a dataset's name: use lower-case letters and digits, with single "
            f"dashes between them, at most {_MAX_NAME} characters"
        )
    return DatasetInfo(name)
