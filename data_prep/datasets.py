"""The datasets that `prepare` knows by name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from data_prep.errors import DataError, nearest

_DRIVE = "https://drive.google.com/uc?export=download"


@dataclass(frozen=True)
class DatasetInfo:
    """A dataset's name, its official archive, and how its pictures are grouped.

    `grouping` says what its folders (or JPEG comments) name: the person shown, or the category that
    the split is stratified by. `default_count` is the number of pictures of a synthetic dataset.
    """

    name: str
    grouping: Literal["subject", "category"]
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
    """Return the dataset called `name`; DataError listing the known ones if there is none."""
    if name not in DATASETS:
        raise DataError(
            f"unknown dataset '{name}': known are {', '.join(DATASETS)}{nearest(name, DATASETS)}"
        )
    return DATASETS[name]
