"""The ten kinds of copies."""

from __future__ import annotations

import numpy as np
import pytest

from data_prep.augment import augmented_copies


@pytest.fixture
def picture() -> np.ndarray:
    """A picture whose red is its column and green its row, so that a crop can be read back."""
    rgb = np.zeros((128, 128, 3), np.uint8)
    rgb[..., 0] = np.arange(128) * 2
    rgb[..., 1] = (np.arange(128) * 2)[:, None]
    return rgb


def test_the_ten_kinds_come_in_the_reports_order(picture: np.ndarray) -> None:
    copies = list(augmented_copies(picture, 10, "key"))
    flipped = picture[:, ::-1]
    assert np.array_equal(copies[0], picture)
    for number in (1, 2, 3):
        assert np.array_equal(copies[number], flipped)
    assert np.array_equal(copies[8], copies[6][:, ::-1])
    assert np.array_equal(copies[9], copies[7][:, ::-1])
    assert not np.array_equal(copies[4], copies[5])
    assert all(copy.shape == picture.shape and copy.dtype == np.uint8 for copy in copies)


def _window(copy: np.ndarray) -> tuple[float, float, float, float]:
    """Return left, right, top, bottom of the crop, in pixels of the original."""
    columns, rows = copy[..., 0].astype(float) / 2, copy[..., 1].astype(float) / 2
    return columns.min(), columns.max(), rows.min(), rows.max()


def test_zooms_and_shifts_reach_all_of_their_ranges_and_no_more(picture: np.ndarray) -> None:
    sides, lefts = [], []
    for key in range(300):
        windows = [_window(copy) for copy in list(augmented_copies(picture, 8, str(key)))[4:]]
        for left, right, top, bottom in windows:
            assert 0.6 * 128 - 2 <= right - left + 1 <= 128
            assert abs((right - left) - (bottom - top)) <= 1
        assert abs(windows[2][0] - (127 - windows[2][1])) <= 2  # moved up or down only
        assert abs(windows[3][2] - (127 - windows[3][3])) <= 2  # moved left or right only
        sides.append(windows[0][1] - windows[0][0] + 1)
        lefts.append(windows[0][0])
    assert min(sides) < 81
    assert max(sides) > 124
    assert abs(np.mean(sides) - 0.8 * 128) < 5
    assert min(lefts) <= 1
    assert max(lefts) > 40


def test_a_copy_depends_on_neither_factor_nor_order(picture: np.ndarray) -> None:
    few, many = (list(augmented_copies(picture, factor, "k")) for factor in (6, 25))
    assert len(many) == 25
    for copy, same in zip(few, many, strict=False):
        assert np.array_equal(copy, same)
    extra = {copy.tobytes() for copy in many[10:]}
    assert len(extra) == 15
    assert not np.array_equal(few[4], list(augmented_copies(picture, 6, "other"))[4])
