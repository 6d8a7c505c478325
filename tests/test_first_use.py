"""From photographs to a colorized one with a network and a metric of one's own, from a wheel."""

from __future__ import annotations

import re
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from data_prep.synthetic.fruits import CATEGORIES, draw_fruit
from tests.installed import Installed

FOLDERS = ("Été 2019/à la mer", "Été 2019", "日本 旅行", "red & green", "grand-mère's", "x/y/z")
FORMATS = ("jpg", "JPG", "png", "tif", "webp", "bmp", "gif", "16-bit", "CMYK", "rotated")
# Of drawn pictures, trained for seconds.
SMALL = {"epochs": 60, "model_kwargs.width": 8, "model_kwargs.depth": 2, "loss": "mse"}


def take_photographs(folder: Path) -> None:
    """Draw 60 pictures, each folder with ten formats and four sizes."""
    for i in range(60):
        pixels = draw_fruit(0, CATEGORIES[i % 6], i, (40, 64, 97, 300)[i % 4])
        pixels = pixels[: len(pixels) * (2 + i % 3) // 4]
        place = folder / FOLDERS[i % 6] / f"écran ({i}) 50%"
        place.parent.mkdir(parents=True, exist_ok=True)
        image, kind = Image.fromarray(pixels), FORMATS[i // 6]
        if kind == "16-bit":
            cv2.imwrite(f"{place}.png", pixels[..., ::-1].astype(np.uint16) * 257)
        elif kind == "CMYK":
            image.convert("CMYK").save(f"{place}.jpg")
        elif kind == "rotated":
            exif = image.getexif()
            exif[0x112] = 6
            image.save(f"{place}.jpg", exif=exif)
        else:
            image.save(f"{place}.{kind}")
    (folder / "x/notes.txt").write_text("no picture")
    (folder / "x/broken.jpg").write_bytes(b"\xff\xd8\xff nothing")


@pytest.mark.slow
def test_from_a_shell(installed: Installed) -> None:
    here, shell = installed.folder, installed.shell
    take_photographs(here / "my photos")
    shell("chromatune examples --copy .")
    said = shell("chromatune prepare my-photos --source 'my photos' --size 32 --augment 2")
    assert "60 images: 48 train / 6 val / 6 test" in said
    assert "1 skipped: 1 not a readable image" in said
    assert "1 other file ignored: 1 .txt" in said

    space = " ".join(f"--set search.space.{key}={value}" for key, value in SMALL.items())
    begun = shell(
        "chromatune search colorizer -c own_search.yaml --dataset my-photos --num-samples 2 "
        f"--scheduler none --backend serial --detach {space}"
    )
    launch = begun.split()[0]
    assert "running" in shell("chromatune launches")
    stopped = shell("chromatune stop last")
    assert f"{launch} stopped" in stopped
    assert "stopped" in shell("chromatune launches")
    (resume,) = re.findall("`(.*)`", stopped)
    assert "hue_error" in shell(resume)
    assert "2 of 2 cells" in shell("chromatune status last")

    shell("chromatune promote colorizer --dataset my-photos --force --trust-code")
    photo = next((here / "my photos").rglob("écran (59)*"))
    shell(f'chromatune colorize "{photo}" --mode my-photos --import own_network.py')
    with Image.open(photo) as before, Image.open(here / f"Recon/{photo.stem}.png") as after:
        assert after.size == before.size[::-1]  # it was turned
        assert np.ptp(np.asarray(after, np.int16), axis=-1).mean() > 1  # and has colors


@pytest.mark.slow
def test_from_python(installed: Installed) -> None:
    take_photographs(installed.folder / "my photos")
    installed.shell("chromatune examples --copy .")
    (installed.folder / "story.py").write_text(
        f"""
import numpy as np
import chromatune

data = chromatune.prepare("my-photos", source="my photos", size=32, augment=2)
print(data)
launch = chromatune.search(
    "colorizer",
    config="own_search.yaml",
    dataset="my-photos",
    num_samples=2,
    scheduler="none",
    set_={{f"search.space.{{key}}": value for key, value in {SMALL}.items()}},
    backend="serial",
    background=True,
)
print(launch.status, launch.stop().status, launch.resume().status)
print(sorted(launch.to_frame()["val_hue_error"])[0] == launch.best.metrics["val_hue_error"])
model = chromatune.promote("colorizer", dataset="my-photos", force=True)
print(model, model.colorize(np.zeros((20, 30), np.uint8)).shape)
print(chromatune.colorize("my photos/x", mode="my-photos"))
"""
    )
    first, *others = installed.shell("python story.py").splitlines()
    assert first.startswith("<PreparedDataset my-photos: 48 train, 6 val, 6 test, 32 px, ")
    assert others == [
        "running stopped finished",
        "True",
        "<Model my-photos-colorizer version 1, champion> (20, 30, 3)",
        "<Outcome: 10 colorized, 1 failed>",
    ]
