"""Malicious pictures, zips and links are rejected before they do harm."""

from __future__ import annotations

import contextlib
import io
import os
import resource
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

import gdown
import pytest

from data_prep import DataError, PrepareSettings, open_dataset, prepare
from data_prep.decode import UnusableError, decode_rgb
from data_prep.sources import ZipSource, download_zip
from tests.commands import refusal
from tests.security.pictures import (
    FORMATS,
    huge,
    huge_animation,
    huge_first_frame,
    picture,
    text_bomb,
)
from tuning.errors import ChromatuneError
from tuning.inference.inputs import list_jobs

MEMORY_BYTES = 500_000_000


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
@pytest.mark.parametrize("kind", FORMATS)
def test_a_picture_of_ten_gigapixels_is_not_decoded(kind: str) -> None:
    before = _peak_memory()
    with pytest.raises(UnusableError, match=r"over 50 megapixels|not a readable image"):
        decode_rgb(huge(kind))
    assert _peak_memory() - before < MEMORY_BYTES


@pytest.mark.parametrize("bomb", [huge_first_frame, text_bomb])
def test_what_a_header_hides_is_not_unpacked_either(bomb: Callable[[], bytes]) -> None:
    before = _peak_memory()
    with pytest.raises(UnusableError):
        decode_rgb(bomb())
    assert _peak_memory() - before < MEMORY_BYTES


def test_of_an_animation_only_the_first_frame_is_decoded() -> None:
    assert decode_rgb(huge_animation()).rgb.shape == (30, 40, 3)


def test_pictures_that_mean_harm_are_left_out_with_the_reason(tmp_path: Path) -> None:
    source = tmp_path / "faces"
    for number in range(12):
        folder = source / f"s{number % 4}"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{number}.png").write_bytes(picture(seed=number))
    (source / "s0" / "bomb.png").write_bytes(huge("PNG"))
    (tmp_path / "secret.png").write_bytes(picture(seed=99))
    (source / "s1" / "link.png").symlink_to(tmp_path / "secret.png")
    (source / "s2" / "up").symlink_to(tmp_path)
    os.mkfifo(source / "s3" / "pipe.png")
    settings = PrepareSettings(dataset="faces", size=32, augment=1)
    manifest = prepare(settings, tmp_path / "data", source=source).dataset.manifest
    assert {entry.name: entry.reason.partition(" (")[0] for entry in manifest.skipped} == {
        "s0/bomb.png": "over 50 megapixels",
        "s1/link.png": "link that leads out of the source folder",
        "s2/up": "link that leads out of the source folder",
        "s3/pipe.png": "not a regular file",
    }
    assert sum(manifest.counts.values()) == 12


@pytest.mark.parametrize("name", ["manifest.json", "train", "val/L.npy"])
def test_links_out_of_prepared_data_are_refused(
    name: str, dataset_copy: Path, tmp_path: Path
) -> None:
    whole = tmp_path / "link" / dataset_copy.name
    whole.parent.mkdir()
    whole.symlink_to(dataset_copy)
    open_dataset(whole)
    elsewhere = tmp_path / "elsewhere"
    (dataset_copy / name).rename(elsewhere)
    (dataset_copy / name).symlink_to(elsewhere)
    with pytest.raises(DataError, match="is a link that leads out of it; run `chromatune prepare"):
        open_dataset(dataset_copy)


@pytest.mark.parametrize("name", ["manifest.json", "val/L.npy"])
def test_links_to_themselves_and_pipes_in_prepared_data_are_refused(
    name: str, dataset_copy: Path
) -> None:
    (dataset_copy / name).unlink()
    (dataset_copy / name).symlink_to(dataset_copy / name)
    with pytest.raises(DataError, match="is damaged"):
        open_dataset(dataset_copy)
    (dataset_copy / name).unlink()
    os.mkfifo(dataset_copy / name)
    with pytest.raises(DataError, match="is not a regular file"):
        open_dataset(dataset_copy)


def test_links_out_of_a_folder_are_not_colorized(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "secret.png").write_bytes(picture())
    (tmp_path / "in" / "link.png").symlink_to(tmp_path / "secret.png")
    with pytest.raises(ChromatuneError, match="link that leads out of the source folder"):
        list_jobs([tmp_path / "in"], tmp_path / "out")


@pytest.mark.parametrize(
    "name", ["../up.png", "s1/../../up.png", "/etc/up.png", "..\\up.png", "C:\\up.png"]
)
def test_a_zip_with_a_path_that_leads_out_is_refused(name: str, tmp_path: Path) -> None:
    path = tmp_path / "faces.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(zipfile.ZipInfo(name), picture())
    data = f"{tmp_path}/data"
    said = refusal("prepare", "faces", "--source", str(path), "--data-root", data)
    assert f"faces.zip is rejected: the path {name!r} leads out of it" in said
    assert {path.name for path in tmp_path.iterdir()} <= {"faces.zip", "data"}


def test_a_zip_bomb_is_refused_unopened(tmp_path: Path) -> None:
    """Of 4000 members that all are the same 10 MB of zeros: 40 GB out of 300 kB."""
    path = tmp_path / "faces.zip"
    path.write_bytes(_overlapping(4000, bytes(10_000_000)))
    assert path.stat().st_size < 400_000
    said = refusal("prepare", "faces", "--source", str(path), "--data-root", f"{tmp_path}/data")
    assert "it would unpack to 4000 files of 40 GB" in said


def test_a_member_that_unpacks_to_more_than_a_picture_may_is_not_unpacked(tmp_path: Path) -> None:
    data = bytearray(_overlapping(1, b"x"))
    place = data.index(b"PK\x01\x02") + 24
    data[place : place + 4] = struct.pack("<I", 100_000_001)
    path = tmp_path / "faces.zip"
    path.write_bytes(bytes(data))
    with contextlib.closing(ZipSource(path)) as source:
        listing = source.list()
    assert (listing.names, listing.skipped) == ([], [("s0/0.png", "file over 100 MB")])


def test_a_member_that_lies_about_its_size_yields_no_more_than_it_said(tmp_path: Path) -> None:
    path = tmp_path / "faces.zip"
    data = bytearray(_overlapping(1, bytes(5_000_000)))
    for marker, skip in ((b"PK\x03\x04", 22), (b"PK\x01\x02", 24)):
        place = data.index(marker) + skip
        data[place : place + 4] = struct.pack("<I", 10)
    path.write_bytes(bytes(data))
    with (
        contextlib.closing(ZipSource(path)) as source,
        pytest.raises(UnusableError, match="broken inside the zip"),
    ):
        source.read("s0/0.png")


def test_a_downloaded_bomb_is_refused_before_it_is_tested(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def arrive(_url: str, output: str, **_options: object) -> None:
        Path(output).write_bytes(_overlapping(4000, bytes(10_000_000)))

    monkeypatch.setattr(gdown, "download", arrive)
    with pytest.raises(DataError, match=r"http://example.org/x.zip is rejected: it would unpack"):
        download_zip("http://example.org/x.zip", tmp_path, "x")
    assert not list(tmp_path.glob("x*"))


def _overlapping(count: int, content: bytes) -> bytes:
    """A zip whose members all share the bytes of the first."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("s0/0.png", content)
        (first,) = archive.infolist()
        for number in range(1, count):
            other = zipfile.ZipInfo(f"s{number}/0.png")
            for name in ("CRC", "compress_size", "file_size", "compress_type", "header_offset"):
                setattr(other, name, getattr(first, name))
            archive.filelist.append(other)
    return stream.getvalue()


def _peak_memory() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
