"""Cells in their places, and the sentences on them: change a figure, and the sentence changes."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pytest

from tests.tuning.report.stores import make_cell, make_launch
from tuning.display.published import published_result
from tuning.report._places import Place, gather, published_place, ranked
from tuning.report._prose import difference, standings, tuned_and_scratch


def places(metric: str, *values: Sequence[float]) -> list[Place]:
    """Places of models a, b, c, … with these values, one a seed."""
    cells = [
        make_cell("abc"[number], seed=seed, **{metric: value})
        for number, seeds in enumerate(values)
        for seed, value in enumerate(seeds)
    ]
    return gather(make_launch(cells).cells)


def transfer(tuned: float, scratch: float) -> list[Place]:
    cells = [
        make_cell("cnn2", parent="models:/faces-regression/1", test_mse=tuned),
        make_cell("cnn2", suffix="-scratch", test_mse=scratch),
    ]
    return gather(make_launch(cells, kind="finetune").cells)


def test_of_one_seed_the_newest_finished_cell_counts() -> None:
    old = make_launch([make_cell(val_mse=1e-4)])
    new = make_launch([make_cell(val_mse=2e-4)], age=1)
    broken = make_launch([make_cell(outcome="failed", val_mse=9.0)], age=2)
    (place,) = gather([*broken.cells, *new.cells, *old.cells])
    assert place.values("val_mse") == [2e-4]
    assert place.outcome == "finished"
    assert math.isnan(place.spread("val_mse"))


def test_another_recipe_has_a_place_of_its_own() -> None:
    other = make_cell(val_mse=2e-4, seed=1, params={"loss": "huber", "eval_every": "5"})
    cells = make_launch([make_cell(val_mse=1e-4), other]).cells
    assert len(gather(cells)) == 2
    assert len(gather(cells, one_recipe=True)) == 1


def test_ranking_follows_the_direction_of_the_metric() -> None:
    cells = [
        make_cell("a", val_mse=1.0, val_psnr=30.0),
        make_cell("b", val_mse=2.0, val_psnr=20.0),
        make_cell("c", outcome="diverged", val_mse=0.0),
        make_cell("d", val_mse=math.nan),
    ]
    found = gather(make_launch(cells).cells)
    for metric in ("val_mse", "val_psnr"):
        assert [place.model for place in ranked(found, metric)] == ["a", "b"]


def test_a_training_of_its_own_stands_before_a_grids() -> None:
    values = {100: 3e-4, 300: 1e-4, 500: 2e-4}
    grid = make_launch([make_cell(epochs=n, val_mse=value) for n, value in values.items()]).cells
    finals = make_launch([make_cell(epochs=7, val_mse=9.0)], kind="finals").cells
    cnn2 = published_result("faces", "regression", "cnn2", "relu")
    assert cnn2 is not None
    for cells, epochs in ((grid, 300), ([*grid, *finals], 7)):
        place = published_place(gather(cells), cnn2)
        assert place is not None
        assert place.epochs == epochs
    assert published_place([], cnn2) is None


@pytest.mark.parametrize(
    ("metric", "values", "constant", "said"),
    [
        ("val_mse", ([2e-4], [1e-4]), None, "b ReLU, lr 1e-3, 500 epochs wins with a validation"),
        ("val_mse", ([2e-4], [1e-4]), None, "MSE of 1.00e-4, 50 % below a ReLU"),
        ("val_mse", ([2e-4], [1e-4]), None, "with one seed, so nothing tells whether this gap"),
        ("val_psnr", ([36.0], [35.25]), None, "a ReLU, lr 1e-3, 500 epochs wins"),
        ("val_psnr", ([36.0], [35.25]), None, "36.00 dB, 0.75 dB above b ReLU"),
        ("val_psnr", ([36.001], [36.002]), None, "tie at a validation PSNR of 36.00 dB"),
        ("val_psnr", ([36.0, 36.1], [35.0, 35.1]), None, "seeds each, the gap of 1.00 dB exceeds"),
        ("val_psnr", ([36.0, 34.0], [35.0, 34.5]), None, "does not exceed the spread"),
        ("val_mse", ([1e-4], [2e-4], [3e-4]), 2e-4, "2.00e-4: 1 of 3 measured cells beat it."),
        ("val_psnr", ([30.0],), 30.5, "30.50 dB: 0 of 1 measured cell beat it."),
    ],
)
def test_the_winner_and_the_gap_are_stated(
    metric: str, values: tuple[list[float], ...], constant: float | None, said: str
) -> None:
    assert said in " ".join(standings(places(metric, *values), metric, constant))


def test_fine_tuned_and_from_scratch_are_distinguished() -> None:
    name = "cnn2 ReLU, lr 1e-3, 500 epochs"
    sentence = standings(transfer(1e-3, 2e-3), "test_mse", None)[0]
    assert sentence.startswith(f"{name}, fine-tuned wins")
    assert f"50 % below {name}, from scratch (2.00e-3)" in sentence


@pytest.mark.parametrize(
    ("tuned", "scratch", "outcome"),
    [
        (1e-3, 2e-3, "helps: 1.00e-3 against 2.00e-3, 50 % below"),
        (3e-3, 2e-3, "hurts: 3.00e-3 against 2.00e-3, 50 % above"),
        (2e-3, 2e-3, "changes nothing"),
    ],
)
def test_transfer_helps_or_hurts(tuned: float, scratch: float, outcome: str) -> None:
    (sentence,) = tuned_and_scratch(transfer(tuned, scratch), "test_mse")
    assert outcome in sentence


@pytest.mark.parametrize(
    ("metric", "own", "other", "text"),
    [
        ("val_mse", 0.9e-4, 1e-4, "10 % below"),
        ("val_mse", 1.05e-4, 1e-4, "5.0 % above"),
        ("val_mse", 1e-2, 1e-4, "100 times"),
        ("val_psnr", 30.0, 31.5, "1.50 dB below"),
        ("test_ssim", 0.9, 0.85, "0.050 above"),
    ],
)
def test_differences_have_their_unit(metric: str, own: float, other: float, text: str) -> None:
    assert difference(metric, own, other) == text
