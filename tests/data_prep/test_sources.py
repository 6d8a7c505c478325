"""Folders and zips as they really are."""

from __future__ import annotations

import os
import unicodedata
import zipfile
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest

from data_prep import PrepareSettings
from data_prep.decode import UnusableError
from data_prep.errors import DataError
from data_prep.load_pictures import open_source as open_any
from data_prep.sources import ImageSource, path_label, subject_id
from data_prep.sources.image_files import describe_ignored

Write = Callable[[dict[str, bytes]], Path]


def open_source(path: Path) -> ImageSource:
    return open_any(PrepareSettings("faces"), path, path.parent)


def test_nested_folder_and_zip_list_the_same_names(folder_of: Write, zip_of: Write) -> None:
    files = {
        "gt_db/s01/01.jpg": b"a", "gt_db/s10/02.JPG": b"b", "top.png": b"c", "gt_db/a.txt": b"",
        "__MACOSX/gt_db/s01/._01.jpg": b"", ".DS_Store": b"", "gt_db/.hidden.jpg": b"",
    }  # fmt: skip
    for opened in (open_source(folder_of(files)), open_source(zip_of(files))):
        with closing(opened) as source:
            listing = source.list()
            assert listing.names == ["gt_db/s01/01.jpg", "gt_db/s10/02.JPG", "top.png"]
            assert listing.ignored == {".txt": 1, "hidden": 3}
            assert [source.read(name) for name in listing.names] == [b"a", b"b", b"c"]


def test_every_extension_of_a_format_is_listed_and_every_other_file_counted(
    folder_of: Write,
) -> None:
    pictures = ("a.jfif", "a.jpe", "a.MPO", "a.jpf", "a.dib", "a.heic", "a.HIF", "a.tga", "a.apng")
    others = ("a.psd", "b.PSD", "c.psd", "a.cr2", "a", "c", "a.\x1b[31m", "Thumbs.db", ".x.png")
    listing = open_source(folder_of(dict.fromkeys((*pictures, *others), b""))).list()
    assert set(listing.names) == set(pictures)
    assert listing.ignored == {
        ".psd": 3, ".cr2": 1, ".db": 1, "hidden": 1, "without extension": 3
    }  # fmt: skip
    assert describe_ignored(listing.ignored) == (
        "9 other files ignored: 3 .psd, 3 without extension, 1 .cr2, 1 .db, 1 hidden"
    )
    assert describe_ignored(Counter(f".{i}" for i in range(9))).endswith("1 .5, 3 of other kinds")
    assert describe_ignored(1) == "1 other file ignored"


def test_names_of_windows_and_macos_mean_the_same(folder_of: Write, tmp_path: Path) -> None:
    names = ["gt/s01/café.png", "gt/s02/b.png"]
    apart = unicodedata.normalize("NFD", names[0])
    files = {
        "windows.zip": [name.replace("/", "\\") for name in (*names, "gt/", "gt/s01/")],
        "macos.zip": [apart, names[1], "__MACOSX/gt/s01/._b.png", "gt/.DS_Store", "gt/s02/._b.png"],
    }
    for name, members in files.items():
        with zipfile.ZipFile(tmp_path / name, "w") as archive:
            for member in members:
                archive.writestr(member, member[-5:])
    # As Apple's Archive Utility writes them: UTF-8 that is not declared.
    raw = (tmp_path / "macos.zip").read_bytes()
    undeclared = raw.replace(b"\0\x08", b"\0\0")
    assert undeclared != raw
    (tmp_path / "undeclared.zip").write_bytes(undeclared)
    folder = folder_of({apart: b"", names[1].replace("/", "\\"): b""})
    for path in (*(tmp_path / name for name in (*files, "undeclared.zip")), folder):
        with closing(open_source(path)) as source:
            listing = source.list()
            assert listing.names == names
            assert all(isinstance(source.read(name), bytes) for name in names)
            assert listing.ignored == (
                {"hidden": 3} if path.stem in ("macos", "undeclared") else {}
            )


def test_names_that_are_not_utf8_mean_the_same(tmp_path: Path) -> None:
    raw = [b"gt/caf\xe9.png", b"./gt/b.png"]
    folder = Path(os.fsdecode(bytes(tmp_path) + b"/d\xe9"))
    with zipfile.ZipFile(tmp_path / "z.zip", "w") as archive:
        for name in raw:
            archive.writestr(name.decode("cp437"), name)
            path = folder / os.fsdecode(name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(name)
    for path in (folder, tmp_path / "z.zip"):
        with closing(open_source(path)) as source:
            assert source.list().names == ["gt/b.png", "gt/caf\u0398.png"]
            assert {source.read(name) for name in source.list().names} == set(raw)
    assert open_source(folder).location == f"{tmp_path}/d\\xe9"


def test_names_that_would_become_equal_are_kept_apart(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for name in ("\u00e9.png", "e\u0301.png"):
        (tmp_path / "in" / name).write_text(str(len(name)))
    source = open_source(tmp_path / "in")
    assert [source.read(name) for name in source.list().names] == [b"6", b"5"]
    with zipfile.ZipFile(tmp_path / "z.zip", "w") as archive:
        archive.writestr("a.png", "old")
        with pytest.warns(UserWarning, match="Duplicate name"):
            archive.writestr("a.png", "new")
    with closing(open_source(tmp_path / "z.zip")) as source:
        listing = source.list()
        assert [source.read(name) for name in listing.names] == [b"new"]
        assert listing.skipped == [("a.png", "a later member has the same name")]


def test_links_that_lead_out_are_left_out(folder_of: Write, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret.png").write_bytes(b"x")
    folder = folder_of({"in/a.png": b"a"})
    (folder / "out.png").symlink_to(outside / "secret.png")
    (folder / "outdir").symlink_to(outside)
    (folder / "twin.png").symlink_to("in/a.png")
    (folder / "again").symlink_to("in")
    (folder / "gone.png").symlink_to("nowhere.png")
    (folder / "loop").symlink_to(".")
    os.mkfifo(folder / "pipe.png")
    listing = open_source(folder).list()
    assert listing.names == ["in/a.png", "twin.png"]
    reasons = dict(listing.skipped)
    assert reasons["out.png"] == reasons["outdir"] == "link that leads out of the source folder"
    assert reasons["gone.png"] == reasons["pipe.png"] == "not a regular file"
    assert reasons["again"] == reasons["loop"] == "link to a folder"


def test_a_damaged_member_is_left_out(zip_of: Write) -> None:
    path = zip_of({"a.png": b"A" * 400, "b.png": b"B" * 400})
    path.write_bytes(path.read_bytes().replace(b"A" * 400, b"A" * 399 + b"x"))
    with closing(open_source(path)) as source:
        with pytest.raises(UnusableError, match="broken inside the zip"):
            source.read("a.png")
        assert source.read("b.png") == b"B" * 400


def test_a_broken_or_encrypted_zip_is_an_error(zip_of: Write) -> None:
    path = zip_of({"a.png": bytes(5000)})
    whole = bytearray(path.read_bytes())
    path.write_bytes(whole[:3000])
    with pytest.raises(DataError, match="is a damaged zip"):
        open_source(path)
    whole[whole.index(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(whole)
    with closing(open_source(path)) as source, pytest.raises(DataError, match="is encrypted"):
        source.list()


def test_missing_source_says_what_is_there(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=f"does not exist \\({tmp_path} does\\)"):
        open_source(tmp_path / "no" / "such")


def test_zip_members_can_be_read_from_many_threads(tmp_path: Path) -> None:
    contents = {f"{i}.png": bytes([i]) * (3000 + i) for i in range(100)}
    with zipfile.ZipFile(tmp_path / "z.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in contents.items():
            archive.writestr(name, data)
    with closing(open_source(tmp_path / "z.zip")) as source, ThreadPoolExecutor(8) as pool:
        names = source.list().names
        assert dict(zip(names, pool.map(source.read, names), strict=True)) == contents


@pytest.mark.parametrize(
    ("name", "grouping", "label"),
    [
        ("gt_db/s01/01.jpg", "subject", "s1"),
        ("S50/15.jpg", "subject", "s50"),
        ("image00000.jpg", "subject", None),
        ("gt_faces/image00000.jpg", "subject", None),
        ("ncd/ColorfulOriginal/Apple/a.jpg", "category", "Apple"),
        ("ColorfulOriginal/Apple/deep/a.jpg", "category", "Apple"),
        ("ColorfulOriginal/a.jpg", "category", None),
        ("Apple/a.jpg", "category", "Apple"),
        ("a.jpg", "category", None),
    ],
)
def test_labels_come_from_the_layout(name: str, grouping: str, label: str | None) -> None:
    assert path_label(name, grouping) == label  # type: ignore[arg-type]
    comments = ("s1", "s050\n", "CREATOR: gd-jpeg", "s0")
    assert [subject_id(text) for text in comments] == ["s1", "s50", None, None]
