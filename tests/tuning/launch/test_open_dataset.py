"""Which prepared pictures a configuration means."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from data_prep import DataError, PrepareSettings, dataset_folder, open_dataset, prepare
from tuning.config.schema import DataConfig
from tuning.errors import ChromatuneError
from tuning.launch.open_dataset import open_prepared, prepare_settings, recorded

NAME = "synthetic-faces"
SMALL = {"size": 32, "count": 12, "augment": 1}


def prepared(root: Path, **settings: object) -> Path:
    """Prepare drawn pictures, few and small unless told otherwise."""
    wanted = PrepareSettings(dataset=NAME, **{**SMALL, **settings})  # type: ignore[arg-type]
    return prepare(wanted, root).dataset.folder


def test_a_configured_preparation_is_opened(tmp_path: Path) -> None:
    folder = prepared(tmp_path)
    prepared(tmp_path, seed=1)
    opened = open_prepared(DataConfig(dataset=NAME, root=tmp_path, **SMALL))
    assert opened.folder == folder


def test_drawn_pictures_are_made_on_the_spot(tmp_path: Path) -> None:
    data = DataConfig(dataset=NAME, root=tmp_path, **SMALL)
    made = open_prepared(data)
    assert made.folder == dataset_folder(prepare_settings(data), tmp_path)
    assert made.size == 32
    assert sum(len(made.planes(split).L) for split in ("train", "val", "test")) == 12
    assert open_prepared(data).digest == made.digest


def test_real_pictures_are_not_made_but_asked_for(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="chromatune prepare faces"):
        open_prepared(DataConfig(dataset="faces", root=tmp_path))
    assert list(tmp_path.iterdir()) == []


def test_a_name_alone_means_the_only_preparation(tmp_path: Path) -> None:
    folder = prepared(tmp_path)
    told: list[str] = []
    fruits = PrepareSettings(dataset="synthetic-fruits", **SMALL)  # type: ignore[arg-type]
    prepare(fruits, tmp_path)
    (prepared(tmp_path, seed=1) / "manifest.json").unlink()  # half made
    opened = open_prepared(DataConfig(dataset=NAME, root=tmp_path), told.append)
    assert opened.folder == folder
    assert told == [f"using {folder}, the only variant (digest {opened.digest[:12]})"]


def test_a_name_alone_prefers_the_default_settings(tmp_path: Path) -> None:
    told: list[str] = []
    prepared(tmp_path).rename(tmp_path / "faces-32px-random-x1-seed0")
    default = dataset_folder(PrepareSettings(dataset="faces"), tmp_path)
    prepared(tmp_path, seed=1).rename(default)
    opened = open_prepared(DataConfig(dataset="faces", root=tmp_path), told.append)
    assert opened.folder == default
    assert [f"using {default} (the default settings; 2 variants" in line for line in told] == [True]


def test_settings_mean_the_only_preparation_that_has_them(tmp_path: Path) -> None:
    told: list[str] = []
    folders = {}
    for seed in (0, 1):
        folder = prepared(tmp_path, seed=seed)
        folders[seed] = folder.rename(tmp_path / folder.name.replace(NAME, "faces"))
    opened = open_prepared(DataConfig(dataset="faces", root=tmp_path, seed=1), told.append)
    assert opened.folder == folders[1]
    assert [line.partition(" (")[0] for line in told] == [
        f"using {folders[1]}, the only variant with these settings"
    ]
    for other in ({"size": 32}, {"seed": 2}):
        with pytest.raises(DataError, match="choose a prepared variant with --data"):
            open_prepared(DataConfig(dataset="faces", root=tmp_path, **other))


def test_a_name_alone_is_not_enough_for_several_preparations(tmp_path: Path) -> None:
    folders = [prepared(tmp_path), prepared(tmp_path, seed=1)]
    with pytest.raises(ChromatuneError) as caught:
        open_prepared(DataConfig(dataset=NAME, root=tmp_path))
    message = str(caught.value)
    assert all(folder.name in message for folder in folders)
    assert "--data," in message
    assert "chromatune datasets" in message
    assert "\n" not in message


def test_what_is_configured_is_never_replaced_by_another_preparation(tmp_path: Path) -> None:
    prepared(tmp_path)
    wanted = {**SMALL, "seed": 2}
    opened = open_prepared(DataConfig(dataset=NAME, root=tmp_path, **wanted))
    assert opened.folder.name.endswith("seed2-n12")


def test_of_several_variants_the_missing_one_is_asked_for_and_the_others_named(
    tmp_path: Path,
) -> None:
    for seed in (0, 1):
        prepared(tmp_path, seed=seed).rename(tmp_path / f"faces-32px-random-x1-seed{seed}")
    with pytest.raises(DataError) as caught:
        open_prepared(DataConfig(dataset="faces", root=tmp_path, size=64))
    message = str(caught.value)
    assert "chromatune prepare faces --size 64" in message
    assert "--data: faces-32px-random-x1-seed0, faces-32px-random-x1-seed1" in message


def test_a_digest_means_its_variant_whatever_else_is_configured(tmp_path: Path) -> None:
    folders = [prepared(tmp_path, seed=seed) for seed in range(3)]
    for folder in folders:
        digest = open_dataset(folder).digest
        told: list[str] = []
        for written in (digest[:12], digest.upper(), f"{NAME}@{digest[:12]}"):
            data = DataConfig(dataset="faces", root=tmp_path, size=64, digest=written)
            opened = open_prepared(data, told.append)
            assert (opened.folder, opened.digest) == (folder, digest)
            # What a launch stores opens the same variant without the digest.
            stored = recorded(data, opened)
            assert (stored.digest, open_prepared(stored).folder) == (None, folder)
        assert told == [f"using {folder} (digest {digest[:12]})"] * 3


@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        ("nothex", "no prepared data with .* begins with 'nothex'; there are [0-9a-f]{12} "),
        ("", "no prepared data"),
        ("faces@", "no prepared data of faces"),
        ("faces@{digest}", "no prepared data of faces with .* begins with"),
        ("{common}", "is that of 2 variants: [0-9a-f]{12} .*seed0.*, [0-9a-f]{12} .*seed1"),
    ],
)
def test_a_digest_that_is_wrong_or_not_enough_is_one_line(
    wanted: str, said: str, tmp_path: Path
) -> None:
    first, second = (prepared(tmp_path, seed=seed) for seed in range(2))
    digest = open_dataset(first).digest
    # A copy of the first under another name has the same digest.
    if "common" in wanted:
        shutil.copytree(first, tmp_path / second.name, dirs_exist_ok=True)
    (tmp_path / "broken-32px-random-x1-seed0").mkdir()
    (tmp_path / "broken-32px-random-x1-seed0" / "manifest.json").write_text("{")
    written = wanted.format(digest=digest[:12], common=digest[:5])
    with pytest.raises(DataError, match=said) as caught:
        open_prepared(DataConfig(dataset=NAME, root=tmp_path, digest=written))
    assert "\n" not in str(caught.value)
