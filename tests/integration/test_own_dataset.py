"""Anybody's own images, from a folder to a colorized one, by the dataset's name alone."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image

from data_prep.synthetic.fruits import CATEGORIES, draw_fruit
from tests.commands import Finished, refusal, run

FOLDERS = ("Été 2019", "Ελλάδα/Ναός", "夏 休み", "b c/d e")
COUNT = 40


def draw(folder: Path, size: int) -> None:
    for i in range(COUNT):
        path = folder / FOLDERS[i % 4] / f"IMG {i:03d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(draw_fruit(0, CATEGORIES[i % 6], i, size)).save(path)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to work in; everything lies where commands put it by default."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    return tmp_path


def done(*words: str) -> Finished:
    finished = run(*words)
    assert finished.status == 0, finished.err
    return finished


SERIAL = ("--backend", "serial", "--set", "training.batch_size=8")


def test_own_images_are_tuned_promoted_and_colorized_by_name(here: Path) -> None:
    draw(here / "my pictures", 70)
    done("prepare", "my-photos", "--source", "my pictures", "--size", "64", "--augment", "1",
         "--split", "stratified")  # fmt: skip
    done("prepare", "others", "--source", "my pictures", "--size", "64", "--augment", "1",
         "--group-by", r"(IMG) \d", "--data-seed", "1")  # fmt: skip
    grid = done("grid", "colorizer", "--dataset", "my-photos", "--heads", "tanh", "--lrs", "1e-3",
                "--epochs", "1", "--format", "json", *SERIAL)  # fmt: skip
    assert [cell["outcome"] for cell in grid.cells] == ["finished"]
    listed = done("trials", "colorizer", "--dataset", "my-photos", "--format", "json")
    assert [cell["published"] for cell in listed.cells] == [None]
    done("promote", "colorizer", "--dataset", "my-photos", "--force")
    tuned = run("finetune", "colorizer", "--from", "my-photos", "--dataset", "others",
                "--epochs", "1", *SERIAL)  # fmt: skip
    assert "fine-tuned" in tuned.out

    picture = "my pictures/夏 休み/IMG 002.png"
    done("colorize", picture, "--mode", "my-photos")
    (result,) = (here / "Recon").glob("*.png")
    with Image.open(result) as image:
        assert image.size == (70, 70)
    said = refusal("colorize", picture, "--mode", "my-fotos")
    assert "did you mean 'my-photos'" in said
    said = refusal("colorize", picture, "--mode", "zebra")
    assert "`chromatune grid colorizer --dataset zebra`" in said

    page = done("report", "--format", "md", "--out", "-").out
    assert page.startswith("# Image colorization\n\nmy-photos and others · ")
    # Nothing of what only the original paper has.
    for word in ("published", "Table I", "Fig.", "ncd", "faces", "II. ", "chromatune speedup"):
        assert word not in page, word
    assert "## Transfer learning" in page
    assert "Colorized test samples: grayscale, ours" in page
    assert "Ελλάδα/Ναός (1)" in page  # the score by category


def test_small_images_train_and_a_misspelled_name_lists_what_is_prepared(here: Path) -> None:
    draw(here / "my pictures", 40)
    done("prepare", "my-photos", "--source", "my pictures", "--size", "32", "--augment", "2")
    done("grid", "regression", "--dataset", "my-photos", "--models", "fc", "--lrs", "1e-3",
         "--epochs", "1", *SERIAL)  # fmt: skip
    found = done("search", "regression", "--dataset", "my-photos", "--num-samples", "1",
                 "--set", "search.space={model: fc, head: tanh, epochs: 1, lr: 0.01}",
                 "--format", "json", *SERIAL)  # fmt: skip
    assert json.loads(found.out)["tables"]
    for command in ("grid", "promote", "trials", "search", "finetune"):
        words = [] if command in ("promote", "trials") else ["--backend", "serial"]
        said = refusal(command, "regression", "--dataset", "my-fotos", *words)
        assert "no prepared dataset 'my-fotos' in data; did you mean 'my-photos'?" in said
        assert "(prepared: my-photos;" in said
    said = refusal("report", "--dataset", "my-fotos")
    assert "did you mean 'my-photos'" in said


def test_folders_named_after_the_splits_are_found(here: Path) -> None:
    draw(here / "all", 32)
    places = ["train"] * 30 + ["val"] * 4 + ["test"] * 6
    for path, side in zip(sorted((here / "all").rglob("*.png")), places, strict=True):
        (here / "mine" / side).mkdir(parents=True, exist_ok=True)
        path.rename(here / "mine" / side / path.name)
    small = ("--source", "mine", "--size", "32", "--augment", "1")
    assert "30 train / 4 val / 6 test" in done("prepare", "my-photos", *small).out
    assert "already prepared" in done("prepare", "my-photos", *small).out
    # An option goes before what is found.
    printed = done("prepare", "my-photos", *small, "--split", "random").out
    assert "32 train / 4 val / 4 test" in printed
    # So does a file, whose paths are those in the source.
    names = sorted(p.relative_to(here / "mine").as_posix() for p in (here / "mine").rglob("*.png"))
    sides = ["val"] * 5 + ["train"] * 25 + ["test"] * 10
    rows = [f"{name},{side}" for name, side in zip(names, sides, strict=True)]
    (here / "split.csv").write_text("path,side\n" + "\n".join(rows))
    printed = done("prepare", "my-photos", *small, "--split", "split.csv").out
    assert "25 train / 5 val / 10 test" in printed
    (table,) = json.loads(done("datasets", "--format", "json").out)["tables"]
    assert len({row["digest"] for row in table["datasets"]}) == 3
    assert [row["taken"] for row in table["datasets"]] == [False] * 3
