"""Cuts made on the device, seen on ramps: a cut of a ramp is a flatter ramp."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from tuning.training.random_crops import random_crops

SIZE = 64


def ramps(count: int) -> Tensor:
    """Two planes: where a pixel's centre is, from left to right and from top to bottom."""
    at = (torch.arange(SIZE) + 0.5) / SIZE
    return torch.stack([at.expand(SIZE, SIZE), at[:, None].expand(SIZE, SIZE)]).repeat(
        count, 1, 1, 1
    )


def test_nothing_changes_with_everything_off() -> None:
    pictures = torch.rand(3, 3, 16, 16)
    cut = random_crops(pictures, flip=False, zoom=1.0, shift=0.0, rotate=0.0)
    torch.testing.assert_close(cut, pictures)


def test_a_flip_mirrors_about_half_of_the_pictures() -> None:
    torch.manual_seed(0)
    pictures = torch.rand(200, 3, 8, 8)
    cut = random_crops(pictures, flip=True, zoom=1.0, shift=0.0, rotate=0.0)
    same = (cut - pictures).abs().amax(dim=(1, 2, 3)) < 1e-5
    mirrored = (cut - pictures.flip(-1)).abs().amax(dim=(1, 2, 3)) < 1e-5
    assert bool((same ^ mirrored).all())
    assert 70 < int(mirrored.sum()) < 130


def test_a_zoom_cuts_a_square_that_lies_within_the_picture() -> None:
    torch.manual_seed(0)
    cut = random_crops(ramps(300), flip=False, zoom=0.6, shift=0.0, rotate=0.0)
    # Away from the edges a cut of a ramp is a ramp, as steep as the cut's side is long.
    inner = cut[:, :, 8:-8, 8:-8]
    across, down = inner[:, 0].diff(dim=-1) * SIZE, inner[:, 1].diff(dim=-2) * SIZE
    side = across.mean(dim=(1, 2))
    torch.testing.assert_close(across, side[:, None, None].expand_as(across), atol=1e-3, rtol=0)
    torch.testing.assert_close(down.mean(dim=(1, 2)), side, atol=1e-3, rtol=0)
    assert float(side.min()) >= 0.6 - 1e-3
    assert float(side.max()) <= 1 + 1e-3
    assert float(side.min()) < 0.63
    assert float(side.max()) > 0.97
    centre = cut.mean(dim=(2, 3))
    assert bool(((centre - 0.5).abs() <= (1 - side)[:, None] / 2 + 5e-3).all())
    spread = np.corrcoef(centre[:, 0], centre[:, 1])[0, 1]
    assert abs(spread) < 0.2  # left and top are drawn independently


def test_a_shift_moves_by_at_most_its_share() -> None:
    torch.manual_seed(0)
    cut = random_crops(ramps(300), flip=False, zoom=1.0, shift=0.125, rotate=0.0)
    moved = (cut - ramps(300))[:, :, 16:-16, 16:-16]
    by = moved.mean(dim=(2, 3))
    torch.testing.assert_close(moved, by[:, :, None, None].expand_as(moved), atol=1e-4, rtol=0)
    assert 0.11 < float(by.abs().max()) <= 0.125 + 1e-4
    assert float(cut.min()) >= 0
    assert float(cut.max()) <= 1


def test_a_rotation_turns_both_ramps_by_the_same_angle() -> None:
    torch.manual_seed(0)
    cut = random_crops(ramps(300), flip=False, zoom=1.0, shift=0.0, rotate=30.0)
    inner = cut[:, :, 24:-24, 24:-24]
    along = inner.diff(dim=-1).mean(dim=(2, 3)) * SIZE  # of both ramps, from left to right
    angle = torch.rad2deg(torch.atan2(along[:, 1], along[:, 0]))
    torch.testing.assert_close(along.norm(dim=1), torch.ones(300), atol=2e-3, rtol=0)
    assert 28 < float(angle.abs().max()) <= 30.01
    assert float(angle.min()) < -28
