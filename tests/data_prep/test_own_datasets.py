"""Anybody's pictures under a name of their own: groups, splits, and what the digest covers."""

from __future__ import annotations

import json
import shutil
import unicodedata
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from data_prep import (
    DataError,
    PreparedDataset,
    PrepareSettings,
    has_split_folders,
    open_dataset,
    prepare,
    read_sides,
    split_name,
)
from data_prep.settings import command_for
from tests.data_prep.builders import make_png

Write = Callable[..., Path]

OWN = PrepareSettings("my-photos-2", size=16, augment=1)
SIDES = ("train", "val", "test")


def sides_of(dataset: PreparedDataset) -> dict[str, str]:
    return {entry.name: entry.split for entry in dataset.manifest.files}


def trips(count: int = 40) -> dict[str, bytes]:
    """Pictures in nested folders with spaces and letters of several scripts: eight of five each."""
    places = ["Été 2019", "Ελλάδα/Ναός", "夏 休み", "b c/d e", "b c/f", "ü", "Été 2019/mer", "z"]
    return {f"{places[i % 8]}/IMG {i:03d}.png": make_png(i) for i in range(count)}


@pytest.mark.parametrize("name", ["Faces", "", "a--b", "-a", "a-", "a_b", "ä", "a" * 61, "../x"])
def test_a_name_that_no_folder_should_have_is_refused(name: str) -> None:
    with pytest.raises(DataError, match="cannot be a dataset's name"):
        PrepareSettings(name)


def test_without_a_source_the_option_and_the_nearest_known_name_are_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"--source.*did you mean 'faces'"):
        prepare(PrepareSettings("face"), tmp_path)


def test_groups_stay_together_and_strata_are_spread(folder_of: Write, tmp_path: Path) -> None:
    source = folder_of(trips())
    dataset = prepare(replace(OWN, split="group"), tmp_path / "data", source=source).dataset
    placed = {(Path(name).parent.as_posix(), side) for name, side in sides_of(dataset).items()}
    assert len(placed) == 8  # each folder on one side
    assert {side for _, side in placed} == set(SIDES)
    assert {entry.category for entry in dataset.manifest.files} == {name for name, _ in placed}

    dataset = prepare(replace(OWN, split="stratified"), tmp_path / "data", source=source).dataset
    shares = Counter((entry.category, entry.split == "train") for entry in dataset.manifest.files)
    assert {count for (_, trained), count in shares.items() if trained} == {4}
    assert {count for (_, trained), count in shares.items() if not trained} == {1}


def test_the_first_group_of_an_expression_is_the_group(folder_of: Write, tmp_path: Path) -> None:
    files = {f"a/cam{i % 4}_{i:02d}.png": make_png(i) for i in range(24)}
    settings = replace(OWN, split="group", group_by=r"/(cam\d)_")
    dataset = prepare(settings, tmp_path / "data", source=folder_of(files)).dataset
    placed = {(entry.category, entry.split) for entry in dataset.manifest.files}
    assert sorted(name for name, _ in placed) == ["cam0", "cam1", "cam2", "cam3"]
    assert dataset.manifest.settings.group_by == r"/(cam\d)_"
    with pytest.raises(DataError, match=r"no groups in .*'x\(y\)' finds none"):
        prepare(replace(settings, group_by="x(y)"), tmp_path / "data", source=tmp_path / "source")
    with pytest.raises(DataError, match="needs the group of every image, and 6 of 24 have none"):
        prepare(
            replace(settings, group_by="(cam[012])"), tmp_path / "data", source=tmp_path / "source"
        )


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"group_by": "cam"}, "a regular expression with a group in parentheses"),
        ({"group_by": "(cam"}, "is no regular expression"),
        ({"group_by": "none", "split": "group"}, "needs groups"),
        ({"split": "subject"}, "my-photos-2 has no subjects .* 'random' or 'group'"),
        ({"split": "given-xyz"}, "split must be one of"),
        ({"dataset": "synthetic-faces", "group_by": "folder"}, "is generated"),
        ({"dataset": "faces", "split": "subject", "group_by": "folder"}, "no subjects"),
    ],
)
def test_settings_that_do_not_go_together(changes: dict[str, str], message: str) -> None:
    with pytest.raises(DataError, match=message):
        replace(OWN, **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ({"dataset": "faces", "split": "group"}, {"dataset": "faces", "split": "subject"}),
        ({"dataset": "ncd", "split": "stratified"}, {"dataset": "ncd"}),
        ({"group_by": "none"}, {}),
        ({"split": "group", "group_by": "folder"}, {"split": "group"}),
    ],
)
def test_two_spellings_of_a_default_are_the_same_settings(
    written: dict[str, str], meant: dict[str, str]
) -> None:
    assert replace(OWN, **written) == replace(OWN, **meant)  # type: ignore[arg-type]


def test_the_digest_covers_groups_and_rules_that_the_user_chose(
    folder_of: Write, tmp_path: Path
) -> None:
    source = folder_of(trips())
    made = {
        name: prepare(settings, tmp_path / "data", source=source).dataset
        for name, settings in {
            "plain": OWN,
            "as faces": replace(OWN, dataset="faces"),
            "by folder": replace(OWN, group_by="folder"),
            "by letter": replace(OWN, group_by="(.)"),
        }.items()
    }
    arrays = {tuple(e.sha256 for e in each.manifest.arrays.values()) for each in made.values()}
    assert len(arrays) == 1  # the same pictures in the same split
    digests = {name: each.digest for name, each in made.items()}
    assert digests["plain"] == digests["as faces"]
    assert len({digests["plain"], digests["by folder"], digests["by letter"]}) == 3
    assert len({each.folder for each in made.values()}) == 4
    # Another group in the manifest is found out.
    path = made["by folder"].folder / "manifest.json"
    document = json.loads(path.read_text())
    document["files"][0]["category"] = "elsewhere"
    path.write_text(json.dumps(document))
    with pytest.raises(DataError, match="contradicts itself"):
        open_dataset(path.parent)


def given_files(prefix: str = "") -> dict[str, bytes]:
    names = {"Train": range(12), "valid": range(12, 15), "test": range(15, 19)}
    return {
        f"{prefix}{folder}/c{i % 2}/{i:02d}.png": make_png(i)
        for folder, numbers in names.items()
        for i in numbers
    }


@pytest.mark.parametrize("kind", ["folder", "zip with a folder"])
def test_folders_named_after_the_sides_are_the_split(
    kind: str, folder_of: Write, zip_of: Write, tmp_path: Path
) -> None:
    if kind == "folder":
        source = folder_of(given_files() | {"extra/99.png": make_png(99)})
    else:
        source = zip_of(given_files("my pictures/") | {"my pictures/99.png": make_png(99)})
    assert has_split_folders(OWN, source, tmp_path)
    settings = replace(OWN, split="given", group_by="folder")
    prepared = prepare(settings, tmp_path / "data", source=source)
    sides = {Path(name).stem: side for name, side in sides_of(prepared.dataset).items()}
    expected = {f"{i:02d}": "train" if i < 12 else "val" if i < 15 else "test" for i in range(19)}
    assert sides == expected
    assert {entry.category for entry in prepared.dataset.manifest.files} == {"c0", "c1"}
    (skipped,) = prepared.dataset.manifest.skipped
    assert (Path(skipped.name).name, skipped.reason) == (
        *("99.png", "outside of the folders train, val and test"),
    )
    assert not prepare(settings, tmp_path / "data", source=source).created


def test_a_picture_that_changed_sides_makes_other_data(folder_of: Write, tmp_path: Path) -> None:
    source = folder_of(given_files())
    settings = replace(OWN, split="given")
    before = prepare(settings, tmp_path / "data", source=source).dataset.digest
    shutil.move(source / "Train/c0/00.png", source / "valid/c0/00.png")
    with pytest.raises(DataError, match="was prepared from other images"):
        prepare(settings, tmp_path / "data", source=source)
    again = prepare(settings, tmp_path / "data", source=source, overwrite=True)
    assert again.dataset.digest != before
    shutil.copy(source / "valid/c0/00.png", source / "test/c0/00.png")
    again = prepare(settings, tmp_path / "data", source=source, overwrite=True)
    assert "1 picture is in more than one split" in again.summary


def test_some_of_the_folders_are_not_enough(folder_of: Write, tmp_path: Path) -> None:
    files = {name: data for name, data in given_files().items() if "valid" not in name}
    source = folder_of(files)
    with pytest.raises(DataError, match="folders test and train, but none named val"):
        has_split_folders(OWN, source, tmp_path)
    assert prepare(OWN, tmp_path / "data", source=source).created  # the random split is asked for
    with pytest.raises(DataError, match="none named val"):
        prepare(replace(OWN, split="given"), tmp_path / "data", source=source)
    assert not has_split_folders(OWN, folder_of({"train/x.png": b""}) / "train", tmp_path)


def test_a_file_of_paths_and_sides_is_the_split(folder_of: Write, tmp_path: Path) -> None:
    files = trips()
    source = folder_of(files)
    names = sorted(files)
    wanted = {name: SIDES[max(0, i - 30) // 3] for i, name in enumerate(names[:38])}
    # Written as another system would: decomposed letters, backslashes, its own words.
    words = {"train": "Training", "val": "validation", "test": "TEST"}
    rows = [f"{unicodedata.normalize('NFD', name)},{words[side]}" for name, side in wanted.items()]
    rows[3] = rows[3].replace("/", "\\")
    file = tmp_path / "split.csv"
    file.write_text("\ufeffpath,side\n" + "\n".join(rows) + "\n")
    sides = read_sides(file)
    settings = replace(OWN, split=split_name(sides))
    dataset = prepare(settings, tmp_path / "data", source=source, sides=sides).dataset
    assert sides_of(dataset) == wanted
    assert dataset.folder.name == f"my-photos-2-16px-{split_name(sides)}-x1-seed0"
    assert {(entry.name, entry.reason) for entry in dataset.manifest.skipped} == {
        (name, "not in the file of the split") for name in names[38:]
    }
    assert np.array_equal(open_dataset(dataset.folder).planes("val").L, dataset.planes("val").L)
    # In another order it is the same split, on another side another.
    file.write_text("\n".join(reversed(rows)))
    assert split_name(read_sides(file)) == split_name(sides)
    file.write_text("\n".join(rows).replace(",TEST", ",val", 1))
    assert split_name(read_sides(file)) != split_name(sides)
    with pytest.raises(DataError, match="needs its file"):
        prepare(replace(OWN, split="given-00000000"), tmp_path / "data", source=source)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a.png,train\nb.png,trian\n", "line 2: 'b.png,trian' is no `path,side`"),
        ("a.png\n", "line 1: 'a.png' is no"),
        ("", "has no rows"),
        ("path,side\n", "has no rows"),
        ("a.png,train\n./a.png,test\n", "line 2: './a.png' was on another side"),
        ("\x00\x00,train\n\udcff", "cannot be read"),
        ("gone.png,train\n", "1 of 1 pictures that are not in .*, such as 'gone.png'"),
        ("0.png,train\n1.png,val\n", "only 2 usable images"),
        ("".join(f"{i}.png,train\n" for i in range(12)), "no usable image in val"),
    ],
)
def test_a_file_that_is_no_split_is_one_line(
    text: str, message: str, folder_of: Write, tmp_path: Path
) -> None:
    source = folder_of({f"{i}.png": make_png(i) for i in range(12)})
    file = tmp_path / "split.csv"
    file.write_bytes(text.encode(errors="surrogateescape"))

    def prepare_it() -> None:
        sides = read_sides(file)
        prepare(replace(OWN, split=split_name(sides)), tmp_path, source=source, sides=sides)

    with pytest.raises(DataError, match=message) as caught:
        prepare_it()
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "command"),
    [
        ({}, "chromatune prepare my-photos-2 --source … --size 16 --augment 1"),
        ({"split": "group", "size": 128, "augment": 10}, "… --split group"),
        ({"split": "given", "augment": 10}, "… --size 16"),
        ({"split": "given-1234abcd", "augment": 10}, "… --size 16 --split ….csv"),
        ({"group_by": "folder", "augment": 10}, "… --size 16 --group-by folder"),
        ({"group_by": "(x)", "augment": 10}, "… --size 16 --group-by …"),
    ],
)
def test_the_command_that_prepares_again(changes: dict[str, object], command: str) -> None:
    settings = replace(OWN, **changes)  # type: ignore[arg-type]
    full = command.replace("…", "chromatune prepare my-photos-2 --source …", 1)
    assert command_for(settings.folder_name) == (full if command[0] == "…" else command)
