"""The datasets that `prepare` knows by name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from data_prep.errors import DataError, nearest


@dataclass(frozen=True)
class DatasetInfo:
    """What is known of a dataset before any of its pictures has been read.

    `grouping` says what its folders (or JPEG comments) tell of a picture: the person shown, or the
    category that the split is stratified by. `url` is the official archive; where the authors give
    a Google Drive file instead, `drive_id` names it. `default_count` is for synthetic ones.
    """

    name: str
    title: str
    grouping: Literal["subject", "category"]
    synthetic: bool = False
    homepage: str = ""
    url: str | None = None
    drive_id: str | None = None
    default_count: int | None = None


DATASETS: Mapping[str, DatasetInfo] = {
    info.name: info
    for info in (
        DatasetInfo(
            name="faces",
            title="Georgia Tech face database",
            grouping="subject",
            homepage="http://www.anefian.com/research/face_reco.htm",
            url="http://www.anefian.com/research/gt_db.zip",
        ),
        DatasetInfo(
            name="ncd",
            title="Natural-Color Dataset",
            grouping="category",
            homepage="https://github.com/saeed-anwar/ColorSurvey",
            drive_id="1k_UvYzdrHbphW4UcbDb9jWB0ZQIAGEAo",
        ),
        DatasetInfo(
            name="synthetic-faces",
            title="Procedural faces",
            grouping="subject",
            synthetic=True,
            default_count=400,
        ),
        DatasetInfo(
            name="synthetic-fruits",
            title="Procedural fruit and vegetables",
            grouping="category",
            synthetic=True,
            default_count=300,
        ),
    )
}


def dataset_info(name: str) -> DatasetInfo:
    """Return the dataset called `name`; DataError that lists the known ones otherwise."""
    if name not in DATASETS:
        raise DataError(
            f"unknown dataset '{name}': known are {', '.join(DATASETS)}{nearest(name, DATASETS)}"
        )
    return DATASETS[name]
