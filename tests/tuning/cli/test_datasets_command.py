"""What is prepared is listed, and picked by its digest."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from data_prep import PreparedDataset, PrepareSettings, prepare
from tests.commands import refusal, resolved, run

NAME = "synthetic-faces"


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("data")


@pytest.fixture(scope="module")
def variants(root: Path) -> list[PreparedDataset]:
    """Two variants of one dataset, none of them with the default settings; one of another."""
    wanted = [(NAME, 0), (NAME, 1), ("synthetic-fruits", 0)]
    settings = [
        PrepareSettings(name, size=32, augment=1, count=12, seed=seed) for name, seed in wanted
    ]
    return [prepare(each, root).dataset for each in settings]


def test_variants_are_listed(root: Path, variants: list[PreparedDataset]) -> None:
    printed = run("datasets", "--data-root", str(root), "--format", "json")
    (table,) = json.loads(printed.out)["tables"]
    assert [(row["digest"], row["folder"]) for row in table["datasets"]] == [
        (each.digest, str(each.folder)) for each in variants
    ]
    assert [row["taken"] for row in table["datasets"]] == [False, False, True]
    assert table["datasets"][1] | {"created": ""} == {
        **{"name": NAME, "digest": variants[1].digest, "folder": str(variants[1].folder)},
        **{"size": 32, "split": "random", "augment": 1, "seed": 1, "count": 12},
        **{"counts": {"train": 9, "val": 1, "test": 2}, "created": "", "taken": False},
    }
    text = run("datasets", "--data-root", str(root)).out
    assert all(each.digest[:12] in text for each in variants)


def test_without_data_the_command_that_prepares_is_named(tmp_path: Path) -> None:
    assert "chromatune prepare" in refusal("datasets", "--data-root", str(tmp_path / "none"))


def test_a_damaged_variant_hides_no_other(root: Path, variants: list[PreparedDataset]) -> None:
    broken = root / f"{NAME}-64px-random-x1-seed0"
    broken.mkdir()
    try:
        (broken / "manifest.json").write_text("{}")
        printed = run("datasets", "--data-root", str(root), "--format", "json")
        (table,) = json.loads(printed.out)["tables"]
        assert len(table["datasets"]) == len(variants)
        (problem,) = table["problems"]
        assert f"{broken} is damaged" in problem
    finally:
        (broken / "manifest.json").unlink()
        broken.rmdir()


@pytest.mark.usefixtures("variants")
def test_a_training_takes_the_variant_of_a_digest(
    root: Path, variants: list[PreparedDataset], tmp_path: Path
) -> None:
    words = ("grid", "regression", "--models", "fc", "--lrs", "1e-3", "--epochs", "1")
    where = ("--data-root", str(root), "--backend", "serial", "--storage-path", str(tmp_path))
    said = refusal(*words, *where, "--dataset", NAME)
    assert "--data" in said
    assert all(each.folder.name in said for each in variants[:2])
    trained = run(*words, *where, "--data", variants[1].digest[:8], "--format", "json")
    assert trained.status == 0, trained.err
    assert f"using {variants[1].folder} (digest {variants[1].digest[:12]})" in trained.err
    (launch,) = tmp_path.glob("grid-*/launch.json")
    document = json.loads(launch.read_text())
    assert document["dataset_digest"] == variants[1].digest
    assert document["config"]["data"] == {
        **{"dataset": NAME, "root": str(root), "size": 32, "split": "random", "augment": 1},
        **{"seed": 1, "count": 12, "group_by": None, "digest": None},
    }


def test_the_digest_of_an_option_goes_before_a_file_but_not_beside_other_options(
    tmp_path: Path,
) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text("data: {dataset: faces, size: 64, digest: abc}\n")
    config = resolved("grid", "regression", "-c", str(file), "--data", "12ef")
    assert (config.data.digest, config.data.size) == ("12ef", 64)
    config = resolved("grid", "regression", "-c", str(file), "--data", "12ef", "--dataset", "ncd")
    assert config.data.digest == "ncd@12ef"
    for option in ("--size", "--data-seed"):
        said = refusal("grid", "regression", "--data", "12ef", option, "64")
        assert f"omit {option}" in said
