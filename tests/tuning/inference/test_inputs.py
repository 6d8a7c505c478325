"""Which pictures are colorized, where results go, and which files are skipped."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from data_prep import rgb_to_lab
from models import create_model
from tuning.errors import ChromatuneError
from tuning.inference.inputs import list_jobs
from tuning.inference.pipeline import Failed, colorize_files
from tuning.inference.predict import Colorizer

Draw = Callable[..., Path]


@pytest.fixture
def draw(tmp_path: Path) -> Draw:
    """Draw a small picture into a file below tmp_path: `draw("in/a.png", gray=True)`."""

    def make(name: str, *, gray: bool = False, size: tuple[int, int] = (40, 30)) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        coarse = np.random.RandomState(len(name)).randint(60, 200, (3, 3, 3)).astype(np.uint8)
        image = Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC)
        (image.convert("L") if gray else image).save(path)
        return path

    return make


@pytest.fixture(scope="module")
def colorizer() -> Colorizer:
    torch.manual_seed(0)
    return Colorizer(
        create_model("autoencoder", head="sigmoid", image_size=64),
        create_model("cnn1", head="tanh", image_size=32),
    )


def places(paths: list[Path], out: Path) -> dict[str, str]:
    jobs = list_jobs(paths, out).jobs
    for job in jobs:
        assert job.sheet == out / "sheets" / job.picture.relative_to(out)
    return {job.name: job.picture.relative_to(out).as_posix() for job in jobs}


@pytest.mark.parametrize(
    ("names", "given", "out", "expected"),
    [
        (
            ("in/b.jpg", "in/a.png", "in/deep/er/a.webp", "in/.hidden.png"),
            ("in",),
            "Recon",
            {"a.png": "a.png", "b.jpg": "b.png", "deep/er/a.webp": "deep/er/a.png"},
        ),
        # Earlier results are no input.
        (("in/a.png", "in/R/a.png", "in/R/sheets/a.png"), ("in",), "in/R", {"a.png": "a.png"}),
        (("in/a.jpg",), ("in",), ".", {"a.jpg": "a.png"}),
        # Images that are named twice are colorized once.
        (("in/a.png",), ("in/a.png", "in", "in/../in/a.png"), "out", ["a.png"]),
        (
            ("x/a.jpg", "y/a.jpg", "y/a.png", "x/a-2.jpg"),
            ("x/a.jpg", "y/a.jpg", "y/a.png", "x/a-2.jpg"),
            "out",
            ["a.png", "a-2.png", "a-3.png", "a-2-2.png"],
        ),
    ],
)
def test_places_of_the_results(
    draw: Draw, tmp_path: Path, names: Any, given: Any, out: str, expected: Any
) -> None:
    for name in names:
        draw(name)
    (tmp_path / "in/notes.txt").parent.mkdir(exist_ok=True)
    (tmp_path / "in/notes.txt").write_text("no image")
    found = places([tmp_path / path for path in given], tmp_path / out)
    assert (found if isinstance(expected, dict) else list(found.values())) == expected


def test_a_subfolder_called_sheets_collides_with_nothing(draw: Draw, tmp_path: Path) -> None:
    draw("in/a.png"), draw("in/sheets/a.png"), draw("in/sheets/sheets/a.png")
    jobs = list_jobs([tmp_path / "in"], tmp_path / "out").jobs
    written = [path for job in jobs for path in (job.picture, job.sheet)]
    assert len(set(written)) == len(written) == 6


def test_no_picture_is_replaced_by_its_result(draw: Draw, tmp_path: Path) -> None:
    with pytest.raises(ChromatuneError, match="is the folder of the images:"):
        list_jobs([draw("in/a.jpg").parent], tmp_path / "in")
    with pytest.raises(ChromatuneError, match=r"would replace the image .*in/b\.png"):
        list_jobs([draw("in/b.png")], tmp_path / "in")
    # The result of one would replace another.
    with pytest.raises(ChromatuneError, match=r"would replace the image .*in/b\.png"):
        list_jobs([draw("c/b.jpg"), tmp_path / "in/b.png"], tmp_path / "in")


def test_what_is_missing_is_named_with_the_nearest(draw: Draw, tmp_path: Path) -> None:
    draw("photo.jpg")
    with pytest.raises(ChromatuneError, match=r"phto\.jpg; did you mean 'photo\.jpg'\?"):
        list_jobs([tmp_path / "phto.jpg"], tmp_path / "out")
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty/a.psd").touch()
    with pytest.raises(ChromatuneError, match=r"no images in .*empty: 1 other file ign.*: 1 \.psd"):
        list_jobs([tmp_path / "empty"], tmp_path / "out")


def run(colorizer: Colorizer, paths: list[Path], out: Path, **options: Any) -> list[Any]:
    jobs = list_jobs(paths, out).jobs
    return list(colorize_files(jobs, colorizer, caption="tests-colorizer version 1", **options))


def test_each_picture_is_written_at_its_own_size(
    draw: Draw, tmp_path: Path, colorizer: Colorizer
) -> None:
    sizes = {"a.png": (40, 30), "b.png": (500, 3), "c.png": (1, 1), "d.png": (130, 170)}
    for name, size in sizes.items():
        draw(f"in/{name}", size=size, gray=name == "d.png")
    done = run(colorizer, [tmp_path / "in"], tmp_path / "out")
    assert [result.job.name for result in done] == list(sizes)
    for name, size in sizes.items():
        with Image.open(tmp_path / "out" / name) as image:
            assert (image.size, image.mode) == (size, "RGB")
            after = rgb_to_lab(np.asarray(image))
        with Image.open(tmp_path / "in" / name) as image:
            before = rgb_to_lab(np.asarray(image.convert("RGB")))
        assert np.abs(after[..., 0].astype(int) - before[..., 0]).max() <= 1
        with Image.open(tmp_path / "out" / "sheets" / name) as sheet:
            assert sheet.width > 2 * min(size[0], 100)


def test_a_bad_file_stops_nothing(draw: Draw, tmp_path: Path, colorizer: Colorizer) -> None:
    for number in range(20):
        draw(f"in/{number:02d}.png", size=(20, 20))
    good = (tmp_path / "in/03.png").read_bytes()
    (tmp_path / "in/03.png").write_bytes(good[: len(good) // 2])
    (tmp_path / "in/10.png").write_bytes(b"")
    (tmp_path / "in/19.png").write_bytes(b"words")
    done = run(colorizer, [tmp_path / "in"], tmp_path / "out")
    assert [result.job.name for result in done] == [f"{number:02d}.png" for number in range(20)]
    failed = {result.job.name: result.reason for result in done if isinstance(result, Failed)}
    assert set(failed) == {"03.png", "10.png", "19.png"}
    assert failed["10.png"] == "empty file"
    assert len(list((tmp_path / "out").glob("*.png"))) == 17
    assert not list((tmp_path / "out").rglob(".*"))


def test_evaluation_compares_with_the_colours_there_are(
    draw: Draw, tmp_path: Path, colorizer: Colorizer
) -> None:
    draw("in/colour.png"), draw("in/gray.png", gray=True), draw("in/tiny.png", size=(5, 5))
    done = run(colorizer, [tmp_path / "in"], tmp_path / "out", evaluate=True)
    scores = {result.job.name: set(result.scores) for result in done}
    assert scores == {
        "colour.png": {"psnr", "ssim", "psnr_rgb", "ssim_rgb"},
        "gray.png": set(),
        "tiny.png": {"psnr", "psnr_rgb"},
    }
    assert all(not result.scores for result in run(colorizer, [tmp_path / "in"], tmp_path / "out"))


def test_a_result_that_cannot_be_written_is_one_line(
    draw: Draw, tmp_path: Path, colorizer: Colorizer
) -> None:
    path = draw("in/a.png")
    (tmp_path / "taken").write_text("a file")
    with pytest.raises(ChromatuneError, match=r"cannot write .*taken/a\.png: "):
        run(colorizer, [path], tmp_path / "taken")


@pytest.mark.parametrize(
    "name", ["a" * 251 + ".png", "\N{RED APPLE}" * 62 + ".png", "a\nb [red].png"]
)
def test_any_file_name_works(draw: Draw, tmp_path: Path, colorizer: Colorizer, name: str) -> None:
    draw("plain.png").rename(tmp_path / name)
    (done,) = run(colorizer, [tmp_path / name], tmp_path / "out")
    done.job.name.encode()
    assert done.job.picture.is_file()
    assert done.job.sheet.is_file()
