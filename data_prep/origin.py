"""The source that a preparation uses: named by the user, downloaded, or drawn."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from data_prep.address import without_secrets
from data_prep.datasets import DatasetInfo
from data_prep.drive import DRIVE_URL
from data_prep.errors import DataError
from data_prep.parallel import Progress
from data_prep.settings import PrepareSettings
from data_prep.sources import PictureSource, ZipSource, open_source
from data_prep.synthetic import SyntheticSource

DOWNLOADS_FOLDER = "downloads"


@dataclass(frozen=True)
class Origin:
    """An open source, and what the manifest says of it; `sha256` is the archive's."""

    source: PictureSource
    kind: Literal["folder", "zip", "download", "synthetic"]
    location: str
    sha256: str | None = None

    def close(self) -> None:
        self.source.close()


def open_origin(
    settings: PrepareSettings,
    info: DatasetInfo,
    source: str | Path | None,
    data_root: Path,
    progress: Progress | None,
) -> Origin:
    """Open `source`, or what the dataset itself names where it is None."""
    if info.synthetic:
        if source is not None:
            raise DataError(f"{info.name} is drawn, not read: leave the source {source} out")
        drawn = SyntheticSource(settings)
        return Origin(drawn, "synthetic", drawn.location)
    if source is None:
        return _downloaded(_official_url(info), info, data_root, progress)
    if isinstance(source, str) and source.startswith(("http://", "https://")):
        return _downloaded(source, info, data_root, progress)
    local = open_source(source)
    if isinstance(local, ZipSource):
        return Origin(local, "zip", local.location, local.sha256())
    return Origin(local, "folder", local.location)


def _official_url(info: DatasetInfo) -> str:
    if info.url is not None:
        return info.url
    return f"{DRIVE_URL}?export=download&id={info.drive_id}"


def _downloaded(url: str, info: DatasetInfo, data_root: Path, progress: Progress | None) -> Origin:
    from data_prep.download import download_archive  # pictures on this machine need no `requests`

    archive = download_archive(url, data_root / DOWNLOADS_FOLDER / f"{info.name}.zip", progress)
    return Origin(ZipSource(archive.path), "download", without_secrets(url), archive.sha256)
