"""Grids of pictures: every pixel in its place, captions beside them, and errors as colours."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from skimage.color import lab2rgb

from tuning.display.pictures import (
    cut_grid,
    error_map,
    error_picture,
    picture_grid,
    picture_sheet,
    write_png,
)


def pixels(path: Path) -> NDArray[np.uint8]:
    with Image.open(path) as picture:
        assert (picture.format, picture.mode) == ("PNG", "RGB")
        return np.asarray(picture)


def planes(count: int, height: int, width: int) -> list[NDArray[np.uint8]]:
    """L, predicted a, predicted b, a, b: noise around the colours of skin, all inside sRGB."""
    random = np.random.default_rng(0)
    ranges = [(90, 170), (120, 145), (120, 150), (120, 145), (120, 150)]
    return [random.integers(*r, (count, height, width)).astype(np.uint8) for r in ranges]


def in_rgb(L: Any, a: Any, b: Any) -> NDArray[np.float64]:
    lab = np.stack([L * (100 / 255), a.astype(float) - 128, b.astype(float) - 128], axis=-1)
    rgb: NDArray[np.float64] = lab2rgb(lab) * 255
    return rgb


def test_a_bare_grid_is_cut_into_the_pictures_it_was_made_of(tmp_path: Path) -> None:
    tiles = np.random.default_rng(0).integers(0, 200, (3, 2, 9, 7, 3)).astype(np.uint8)
    write_png(picture_grid([list(row) for row in tiles]), tmp_path / "grid.png")
    page = pixels(tmp_path / "grid.png")
    assert (np.asarray(cut_grid(page, 3, 2)) == tiles).all()
    assert (page[:, 7:11] == 255).all()  # a gap keeps them apart
    for rows, columns in ((4, 2), (3, 3), (0, 2), (13, 2)):
        with pytest.raises(ValueError, match=r"do not hold|at least one picture"):
            cut_grid(page, rows, columns)


def test_small_pictures_are_enlarged_large_ones_shrunk_and_texts_stay_on_the_page() -> None:
    large = np.zeros((3000, 1000, 3), np.uint8)
    assert picture_grid([[large, large]], ["one", "two"]).shape[0] < 900
    small = np.zeros((10, 20, 3), np.uint8)
    small[0, 0] = 255
    page = picture_grid([[small]], footer="caption " * 50, smallest=160)
    assert page.shape[1] == 12 + 160 + 12
    assert (page[12:20, 12:20] == 255).all()  # one pixel, eight times as large
    assert (page[12:20, 20:28] == 0).all()
    wide = picture_grid([[small, small]], ["a title wider than its picture", "b"])
    assert wide.shape[1] > 2 * 12 + 2 * 100 + 50


@pytest.mark.parametrize(("height", "width", "scale"), [(128, 128, 1), (120, 100, 1), (40, 40, 3)])
def test_a_sheet_shows_grayscale_predicted_and_true_colours(
    tmp_path: Path, height: int, width: int, scale: int
) -> None:
    L, pa, pb, a, b = planes(2, height, width)
    picture_sheet(L, pa, pb, a, b, tmp_path / "sheet.png", ["first", "second"])
    page = pixels(tmp_path / "sheet.png")
    gray = np.full_like(L, 128)
    for row in range(2):
        for column, ab in enumerate([(gray, gray), (pa, pb), (a, b)]):
            top = 12 + 19 + 19 + row * (19 + height * scale + 4)
            left = 12 + column * (width * scale + 4)
            block = page[top : top + height * scale, left : left + width * scale].astype(float)
            assert (block == block[::scale, ::scale].repeat(scale, 0).repeat(scale, 1)).all()
            # Two levels: OpenCV's 8-bit conversion and scikit-image's differ, one bit is dropped.
            difference = np.abs(block[::scale, ::scale] - in_rgb(L[row], ab[0][row], ab[1][row]))
            assert difference.max() <= 4
            assert difference.mean() < 1


def test_larger_errors_are_darker_up_to_the_scale() -> None:
    tile = error_picture(np.asarray([[0.0, 10.0, 20.0, 40.0]]), 20.0)
    light = tile.astype(float) @ (0.299, 0.587, 0.114)
    assert light[0, 0] > light[0, 1] > light[0, 2] == light[0, 3]
    assert light[0, 0] > 240


def test_an_error_map_has_one_scale_for_both_channels(tmp_path: Path) -> None:
    errors = {"a": np.zeros((8, 8)), "b": np.zeros((8, 8))}
    error_map(errors, tmp_path / "none.png")  # a perfect model, too
    errors["b"][:4] = 12.0
    error_map(errors, tmp_path / "map.png")
    page = pixels(tmp_path / "map.png").astype(float).mean(axis=2)
    assert page.shape[1] > 700
    height, width = page.shape
    assert page[height // 3, width // 4] > 230  # a is right everywhere, b is not above
    assert page[height // 3, 3 * width // 4] < page[2 * height // 3, 3 * width // 4] - 50


def test_a_failed_write_leaves_the_old_picture(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "sheet.png"
    path.write_bytes(b"old")

    def refuse(*_: object) -> Path:
        raise OSError("disk full")

    monkeypatch.setattr(Path, "replace", refuse)
    with pytest.raises(OSError, match="disk full"):
        write_png(np.zeros((4, 4, 3), np.uint8), path)
    assert path.read_bytes() == b"old"
    assert [item.name for item in tmp_path.iterdir()] == ["sheet.png"]
