"""From a source to a prepared folder, whole or not at all."""

from __future__ import annotations

import errno
import json
import os
import shutil
import signal
import subprocess
import sys
import unicodedata
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from skimage import color

from data_prep import (
    DataError,
    Manifest,
    PrepareSettings,
    dataset_folder,
    open_dataset,
    prepare,
    row_file,
)
from tests.data_prep.builders import make_png, zipped

Write = Callable[..., Path]

SMALL = PrepareSettings("faces", size=16, augment=3, seed=5)
WORDS = "faces --size 16 --augment 3 --data-seed 5"


@pytest.fixture
def faces(folder_of: Write) -> Path:
    return folder_of({f"gt_db/s{i % 5 + 1:02d}/{i:02d}.png": make_png(i) for i in range(30)})


def _visible(folder: Path) -> list[str]:
    """What stands in the data root, besides `.work`."""
    return [path.name for path in folder.glob("[!.]*")]


def test_arrays_and_manifest_agree(faces: Path, tmp_path: Path) -> None:
    prepared = prepare(SMALL, tmp_path / "data", source=faces)
    assert prepared.created
    dataset = open_dataset(dataset_folder(SMALL, tmp_path / "data"))
    assert dataset.folder.name == "faces-16px-random-x3-seed5"
    assert (dataset.name, dataset.size) == ("faces", 16)
    for side, rows in (("train", 24 * 3), ("val", 3), ("test", 3)):
        planes = dataset.planes(side)
        for plane in (planes.L, planes.a, planes.b):
            assert plane.shape == (rows, 16, 16)
            assert plane.dtype == np.uint8
            assert isinstance(plane, np.memmap)
            with pytest.raises(ValueError, match="read-only"):
                plane[0, 0, 0] = 1
    assert [entry.row for entry in dataset.files("train")] == list(range(24))
    assert {entry.subject for entry in dataset.manifest.files} == {f"s{i}" for i in range(1, 6)}
    assert dataset.manifest.source.kind == "folder"
    dataset.verify()
    path = dataset.folder / "test/b.npy"
    path.write_bytes(path.read_bytes()[:-1] + bytes([planes.b[-1, -1, -1] ^ 1]))
    with pytest.raises(DataError, match=r"test/b.npy differs from what was written"):
        dataset.verify()


def test_rows_are_the_pictures_named_in_the_manifest(faces: Path, tmp_path: Path) -> None:
    dataset = prepare(SMALL, tmp_path, source=faces).dataset
    for side in ("train", "val", "test"):
        factor = 3 if side == "train" else 1
        planes = dataset.planes(side)
        for entry in dataset.files(side):
            bgr = cv2.imread(str(faces / entry.name))
            small = cv2.resize(bgr, (16, 16), interpolation=cv2.INTER_AREA)
            lab = color.rgb2lab(small[..., ::-1])
            row = entry.row * factor
            assert np.abs(planes.L[row] - lab[..., 0] * 2.55).max() < 2
            assert np.abs(planes.a[row] - 128.0 - lab[..., 1]).max() < 3.5
            if side == "train":
                assert np.array_equal(planes.b[row + 1], planes.b[row][:, ::-1])
                assert np.array_equal(planes.b[row + 2], planes.b[row][:, ::-1])


def test_equal_images_are_prepared_once_and_others_need_overwrite(
    faces: Path, tmp_path: Path
) -> None:
    first = prepare(SMALL, tmp_path, source=faces).dataset
    digest, before = first.digest, (first.folder / "manifest.json").stat().st_mtime_ns
    for source in (faces, None):
        again = prepare(SMALL, tmp_path, source=source)
        assert not again.created
        assert "already prepared, nothing to do" in again.summary
    assert (first.folder / "manifest.json").stat().st_mtime_ns == before
    (faces / "gt_db/s01/new.png").write_bytes(make_png(99))
    with pytest.raises(DataError, match=r"prepared from other images.*--overwrite"):
        prepare(SMALL, tmp_path, source=faces)
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=r"only 0 usable images in [^()]*: at least 10"):
        prepare(SMALL, tmp_path, source=tmp_path / "empty", overwrite=True)
    assert open_dataset(dataset_folder(SMALL, tmp_path)).digest == digest
    second = prepare(SMALL, tmp_path, source=faces, overwrite=True)
    assert second.created
    assert sum(second.dataset.manifest.counts.values()) == 31
    assert second.dataset.digest != digest


def test_digest_depends_on_content_and_split_alone(
    faces: Path, zip_of: Write, tmp_path: Path
) -> None:
    """Other file names, a zip instead of a folder, another place: the same arrays and digest."""
    digest = prepare(SMALL, tmp_path / "one", source=faces).dataset.digest
    files = sorted(path for path in faces.rglob("*.png"))
    renamed = {
        f"x/{path.parent.name}/{99 - i}.png": path.read_bytes() for i, path in enumerate(files)
    }
    archive = zip_of(renamed)
    from_zip = prepare(SMALL, tmp_path / "two", source=archive).dataset
    assert from_zip.digest == digest
    assert from_zip.manifest.source.kind == "zip"
    assert from_zip.manifest.source.sha256 is not None
    other = prepare(replace(SMALL, seed=1), tmp_path / "one", source=faces).dataset
    assert other.digest != digest
    assert not prepare(SMALL, tmp_path / "one", source=archive).created


def test_zips_of_windows_and_macos_are_the_folder(folder_of: Write, tmp_path: Path) -> None:
    """Fruit in folders with an accent, which macOS writes as two letters."""
    files = {f"NCD/Colorful/{'Açaí' if i % 2 else 'Fig'}/{i}.png": make_png(i) for i in range(20)}
    settings = PrepareSettings("ncd", size=16, augment=1)
    prepared = prepare(settings, tmp_path / "folder", source=folder_of(files))
    assert "; 2 groups)" in prepared.summary
    extra = {"__MACOSX/NCD/._1.png": b"x", "NCD/.DS_Store": b"x"}
    for system, changed in {
        "windows": {name.replace("/", "\\"): data for name, data in files.items()},
        "macos": {unicodedata.normalize("NFD", name): data for name, data in files.items()} | extra,
    }.items():
        (tmp_path / f"{system}.zip").write_bytes(zipped(changed))
        again = prepare(settings, tmp_path / system, source=tmp_path / f"{system}.zip").dataset
        assert again.digest == prepared.dataset.digest
        assert again.manifest.source.pictures_digest == (
            prepared.dataset.manifest.source.pictures_digest
        )


def test_groups_that_cannot_be_read_are_told(folder_of: Write, tmp_path: Path) -> None:
    source = folder_of({f"{'s1' if i < 3 else 'ann'}/{i}.jfif": make_png(i) for i in range(12)})
    faces = prepare(PrepareSettings("faces", size=16, augment=1), tmp_path / "a", source=source)
    assert (
        "; 1 group; 9 of 12 images without a group (no folder s01, s02, … and no JPEG comment s1; "
        "see --group-by)" in faces.summary
    )
    (source / "top.png").write_bytes(make_png(50))
    fruits = prepare(PrepareSettings("ncd", size=16, augment=1), tmp_path / "b", source=source)
    assert (
        "; 2 groups; 1 of 13 images without a group (in no folder of a category; see --group-by)"
        in fruits.summary
    )


def test_skipped_pictures_are_listed(faces: Path, tmp_path: Path) -> None:
    (faces / "empty.png").write_bytes(b"")
    (faces / "cut.png").write_bytes(make_png(50)[:-200])
    (faces / "tiny.png").write_bytes(make_png(51, 1, 1))
    (faces / "notes.txt").write_text("words")
    prepared = prepare(SMALL, tmp_path, source=faces)
    reasons = {entry.name: entry.reason for entry in prepared.dataset.manifest.skipped}
    assert set(reasons) == {"empty.png", "cut.png", "tiny.png"}
    assert "3 skipped: " in prepared.summary
    assert "1 empty file" in prepared.summary
    assert "1 other file ignored: 1 .txt" in prepared.summary
    assert "\n" not in prepared.summary


@pytest.mark.parametrize(
    ("names", "change", "message"),
    [
        ([f"{i}.png" for i in range(9)], {}, r"only 9 usable images.*1 not a readable image"),
        ([f"{i}.png" for i in range(12)], {"split": "subject"}, "12 of 12 have none"),
        (
            [f"s{i % 2 + 1}/{i}.png" for i in range(12)],
            {"split": "subject"},
            "2 subjects cannot fill train, val and test",
        ),
        ([f"{i}.png" for i in range(12)], {"dataset": "ncd"}, "no category folders"),
        ([], {"dataset": "synthetic-faces"}, "is generated, not read"),
        ([], {}, "only 0 usable images"),
    ],
)
def test_unusable_sources(
    names: list[str],
    change: dict[str, str],
    message: str,
    folder_of: Write,
    tmp_path: Path,
) -> None:
    source = folder_of({name: make_png(i) for i, name in enumerate(names)} | {"bad.png": b"x"})
    with pytest.raises(DataError, match=message):
        prepare(replace(SMALL, **change), tmp_path / "data", source=source)
    assert _visible(tmp_path / "data") == []


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"dataset": "Faces"}, "'Faces' cannot be a dataset's name"),
        ({"split": "subjekt"}, "split must be one of .*'subjekt'; did you mean 'subject'"),
        ({"size": 8}, "size must be a whole number from 16 to 1024, but is 8"),
        ({"augment": 0}, "augment must be a whole number from 1"),
        ({"seed": -1}, "seed must be"),
        ({"count": 100}, "count=100 is for synthetic datasets"),
        ({"dataset": "ncd", "split": "subject"}, "ncd has no subjects"),
        ({"dataset": "synthetic-faces", "count": 9}, "count must be a whole number from 10"),
    ],
)
def test_settings_are_checked(change: dict[str, object], message: str) -> None:
    with pytest.raises(DataError, match=message):
        replace(SMALL, **change)


def _edit_manifest(folder: Path, **changes: object) -> None:
    path = folder / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


PICKLED = np.array([{}], dtype=object)
DAMAGE: dict[str, Callable[[Path], object]] = {
    "no folder": shutil.rmtree,
    "no array": lambda folder: (folder / "val/a.npy").unlink(),
    "short array": lambda folder: os.truncate(folder / "train/L.npy", 1000),
    "other array": lambda folder: np.save(folder / "train/L.npy", np.zeros((2, 16, 16), np.uint8)),
    "pickled array": lambda folder: np.save(folder / "train/L.npy", PICKLED, allow_pickle=True),
    "cut manifest": lambda folder: os.truncate(folder / "manifest.json", 100),
    "unknown key": lambda folder: _edit_manifest(folder, extra=1),
    "other digest": lambda folder: _edit_manifest(folder, digest="0" * 64),
}


@pytest.mark.parametrize("how", DAMAGE)
def test_a_damaged_dataset_is_an_error_with_the_command_that_repairs_it(
    how: str, faces: Path, tmp_path: Path
) -> None:
    folder = prepare(SMALL, tmp_path, source=faces).dataset.folder
    DAMAGE[how](folder)
    with pytest.raises(DataError, match=f"chromatune prepare {WORDS}") as caught:
        open_dataset(folder)
    assert "\n" not in str(caught.value)
    if how != "no folder":
        with pytest.raises(DataError, match="--overwrite"):
            prepare(SMALL, tmp_path, source=faces)
    prepare(SMALL, tmp_path, source=faces, overwrite=True).dataset.verify()


def test_a_manifest_of_version_0_1_0_is_read() -> None:
    digest = "0" * 64
    source = {"kind": "folder", "location": "/x", "sha256": None, "pictures_digest": digest}
    file = {"name": "s01/é.jpg", "sha256": digest, "split": "val", "row": 0, "subject": "s1"}
    written = {
        "format": 1,
        "dataset": "faces",
        "settings": {"size": 16, "split": "random", "augment": 3, "seed": 5, "count": None},
        "source": source,
        "counts": {"train": 0, "val": 1, "test": 0},
        "files": [file | {"category": None}],
        "skipped": [{"name": "a.png", "reason": "empty file"}],
        "ignored": 2,
        "arrays": {"val/L": {"shape": [1, 16, 16], "sha256": digest}},
        "digest": digest,
        "versions": {"numpy": "2.4.6"},
        "created": "2026-11-01T00:00:00+00:00",
    }
    manifest = Manifest.model_validate_json(json.dumps(written, indent=1))
    assert manifest.matches(SMALL)
    assert manifest.model_dump(mode="json") == {**written, "notes": []}
    assert manifest.summary() == {
        key: written[key] for key in ("settings", "source", "counts", "versions")
    }


def test_a_folder_that_holds_something_else_is_never_replaced(faces: Path, tmp_path: Path) -> None:
    mine, other = dataset_folder(SMALL, tmp_path), replace(SMALL, seed=1)
    mine.mkdir()
    (mine / "thesis.txt").write_text("mine")
    with pytest.raises(DataError, match="in the way"):
        prepare(SMALL, tmp_path, source=faces, overwrite=True)
    assert (mine / "thesis.txt").read_text() == "mine"
    shutil.rmtree(mine)
    prepare(SMALL, tmp_path, source=faces).dataset.folder.rename(dataset_folder(other, tmp_path))
    with pytest.raises(DataError, match="other settings than its name says"):
        prepare(other, tmp_path)


def test_a_full_disk_or_an_unwritable_data_root_is_an_error(
    faces: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="cannot write in"):
        prepare(SMALL, tmp_path / "file" / "data", source=faces)

    def full(_descriptor: int, _offset: int, _length: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(row_file.os, "posix_fallocate", full)
    with pytest.raises(DataError, match=r"no room in .* MB free"):
        prepare(SMALL, tmp_path / "data", source=faces)
    assert _visible(tmp_path / "data") == []
    assert not list((tmp_path / "data").rglob("*.npy"))


_SLOW_PREPARE = """
import sys, time
from pathlib import Path
from data_prep import PrepareSettings, prepare
def pause(stage, done, total):
    if stage == sys.argv[3] and done == 5:
        print("ready", flush=True)
        time.sleep(60)
prepare(PrepareSettings("faces", size=16, augment=3, seed=5), Path(sys.argv[1]), source=sys.argv[2],
        overwrite=True, progress=pause)
"""


@pytest.mark.parametrize(("stage", "already"), [("read", True), ("write", False)])
def test_kill_leaves_nothing_half_made(
    stage: str, already: bool, faces: Path, tmp_path: Path
) -> None:
    data = tmp_path / "data"
    digest = prepare(SMALL, data, source=faces).dataset.digest if already else None
    command = [sys.executable, "-c", _SLOW_PREPARE, str(data), str(faces), stage]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.send_signal(signal.SIGKILL)
    leftovers = list(data.rglob("*.new"))
    assert leftovers
    if already:
        assert open_dataset(dataset_folder(SMALL, data)).digest == digest
    else:
        assert _visible(data) == []
        with pytest.raises(DataError, match="no prepared dataset"):
            open_dataset(dataset_folder(SMALL, data))
    # Preparing anything else in the same place clears the dead run's folder away.
    prepare(replace(SMALL, seed=6), data, source=faces)
    assert not list(data.rglob("*.new"))
    prepare(SMALL, data, source=faces).dataset.verify()


def test_kill_between_the_two_renames_is_mended(faces: Path, tmp_path: Path) -> None:
    folder = prepare(SMALL, tmp_path, source=faces).dataset.folder
    folder.rename(tmp_path / ".work" / f"{folder.name}.old")
    assert not prepare(SMALL, tmp_path, source=faces).created
    assert not list(tmp_path.rglob("*.old"))


def test_four_at_once_make_it_once(faces: Path, tmp_path: Path) -> None:
    with ThreadPoolExecutor(4) as pool:
        runs = list(pool.map(lambda _: prepare(SMALL, tmp_path, source=faces), range(4)))
    assert sorted(run.created for run in runs) == [False, False, False, True]


def test_progress_counts_up_and_an_interrupt_leaves_nothing(faces: Path, tmp_path: Path) -> None:
    seen: list[tuple[str, int, int]] = []
    prepare(SMALL, tmp_path / "whole", source=faces, progress=lambda *event: seen.append(event))
    steps = [(stage, done, 30) for stage in ("read", "write") for done in range(1, 31)]
    assert seen == steps

    def interrupt(_stage: str, done: int, _total: int) -> None:
        if done == 10:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        prepare(SMALL, tmp_path / "data", source=faces, progress=interrupt)
    assert not list((tmp_path / "data").rglob("*.npy"))
