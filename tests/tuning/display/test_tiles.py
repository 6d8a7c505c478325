"""Sheets of bare tiles, and pictures of errors."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tuning.display.plots import cut_tiles, error_map, error_tile, tile_sheet


def test_tiles_come_out_of_a_sheet_as_they_went_in(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    tiles = random.integers(0, 256, (3, 2, 9, 7, 3)).astype(np.uint8)
    tile_sheet([list(row) for row in tiles], tmp_path / "sheet.png")
    cut = cut_tiles((tmp_path / "sheet.png").read_bytes(), 3, 2)
    assert (np.asarray(cut) == tiles).all()


def test_gutters_keep_tiles_apart(tmp_path: Path) -> None:
    black = np.zeros((5, 5, 3), np.uint8)
    tile_sheet([[black, black], [black, black]], tmp_path / "sheet.png")
    page = np.asarray(Image.open(tmp_path / "sheet.png"))
    assert page.shape[0] == page.shape[1] > 10
    assert (page[2, 5 : page.shape[1] - 5] == 255).all()


def test_a_sheet_refuses_tiles_that_do_not_fit(tmp_path: Path) -> None:
    one, other = np.zeros((5, 5, 3), np.uint8), np.zeros((5, 6, 3), np.uint8)
    for rows in ([[one, other]], [[one, one], [one]], []):
        with pytest.raises(ValueError, match="tiles must fill a grid"):
            tile_sheet(rows, tmp_path / "sheet.png")


@pytest.mark.parametrize(("rows", "columns"), [(4, 2), (3, 3), (0, 2), (13, 2)])
def test_what_holds_another_grid_is_not_cut(tmp_path: Path, rows: int, columns: int) -> None:
    tile = np.zeros((10, 10, 3), np.uint8)
    tile_sheet([[tile, tile]] * 3, tmp_path / "sheet.png")
    with pytest.raises(ValueError, match=r"do not hold|at least one tile"):
        cut_tiles((tmp_path / "sheet.png").read_bytes(), rows, columns)


def test_larger_errors_are_darker_up_to_the_scale() -> None:
    tile = error_tile(np.asarray([[0.0, 10.0, 20.0, 40.0]]), 20.0)
    light = tile.astype(float) @ (0.299, 0.587, 0.114)
    assert light[0, 0] > light[0, 1] > light[0, 2] == light[0, 3]
    assert light[0, 0] > 240


def test_an_error_map_is_drawn_for_print(tmp_path: Path) -> None:
    errors = {"a": np.zeros((8, 8)), "b": np.zeros((8, 8))}
    error_map(errors, tmp_path / "none.png")  # a perfect model, too
    errors["b"][:4] = 12.0
    error_map(errors, tmp_path / "map.png")
    with Image.open(io.BytesIO((tmp_path / "map.png").read_bytes())) as image:
        assert image.width > 800
        page = np.asarray(image.convert("L")).astype(float)
    middle = page[:, int(page.shape[1] * 0.55)]
    assert middle[page.shape[0] // 3] < middle[page.shape[0] * 2 // 3] - 50
