"""Cells in their places, and several seeds of one."""

from __future__ import annotations

import math

import pytest

from tests.tuning.report.stores import make_cell, make_launch
from tuning.report._places import gather, own_training_first, ranked


def test_seeds_of_one_place_stand_together() -> None:
    values = {0: 1e-4, 1: 3e-4, 2: 5e-4}
    launches = [
        make_launch([make_cell(seed=seed, val_mse=value)], age=seed)
        for seed, value in values.items()
    ]
    (place,) = gather(cell for launch in launches for cell in launch.cells)
    assert place.mean("val_mse") == pytest.approx(3e-4)
    assert place.spread("val_mse") == pytest.approx(2e-4)
    best = place.best("val_mse")
    assert best is not None
    assert best.seed == "0"


def test_of_one_seed_the_newest_finished_cell_counts() -> None:
    old = make_launch([make_cell(val_mse=1e-4)])
    new = make_launch([make_cell(val_mse=2e-4)], age=1)
    broken = make_launch([make_cell(outcome="failed", val_mse=9.0)], age=2)
    (place,) = gather([*broken.cells, *new.cells, *old.cells])
    assert place.values("val_mse") == [2e-4]
    assert place.outcome == "finished"
    assert math.isnan(place.spread("val_mse"))


def test_another_recipe_has_a_place_of_its_own() -> None:
    plain = make_cell(val_mse=1e-4)
    other = make_cell(val_mse=2e-4, seed=1, params={"loss": "huber", "eval_every": "5"})
    cells = make_launch([plain, other]).cells
    assert len(gather(cells)) == 2
    assert len(gather(cells, one_recipe=True)) == 1


def test_ranking_knows_which_way_is_better() -> None:
    cells = make_launch(
        [
            make_cell("a", val_mse=1.0, val_psnr=30.0),
            make_cell("b", val_mse=2.0, val_psnr=20.0),
            make_cell("c", outcome="diverged", val_mse=0.0),
            make_cell("d", val_mse=math.nan),
        ]
    ).cells
    places = gather(cells)
    assert [place.model for place in ranked(places, "val_mse")] == ["a", "b"]
    assert [place.model for place in ranked(places, "val_psnr")] == ["a", "b"]


def test_a_training_of_its_own_stands_before_a_grids() -> None:
    grid = make_launch(
        [make_cell(epochs=n, val_mse=value) for n, value in ((100, 3e-4), (300, 1e-4), (500, 2e-4))]
    )
    place = own_training_first(gather(grid.cells), "regression")
    assert place is not None
    assert place.epochs == 300
    finals = make_launch([make_cell(epochs=7, val_mse=9.0)], kind="finals")
    place = own_training_first(gather([*grid.cells, *finals.cells]), "regression")
    assert place is not None
    assert place.epochs == 7
    assert own_training_first([], "regression") is None
