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


def test_seeds_of_one_place_stand_together() -> None:
    (place,) = places("val_mse", [1e-4, 3e-4, 5e-4])
    assert place.mean("val_mse") == pytest.approx(3e-4)
    assert place.spread("val_mse") == pytest.approx(2e-4)


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


def test_the_winner_is_named_with_its_lead() -> None:
    sentence, seeds = standings(places("val_mse", [2e-4], [1e-4]), "val_mse", None)
    assert sentence.startswith("b ReLU, lr 1e-3, 500 epochs wins with a validation MSE of 1.00e-4")
    assert "50 % below a ReLU" in sentence
    assert "one seed" in seeds
    sentence, _ = standings(places("val_psnr", [36.0], [35.25]), "val_psnr", None)
    assert "a ReLU, lr 1e-3, 500 epochs wins" in sentence
    assert "36.00 dB, 0.75 dB above b ReLU" in sentence
    (sentence,) = standings(places("val_psnr", [36.001], [36.002]), "val_psnr", None)
    assert "tie at a validation PSNR of 36.00 dB" in sentence


def test_fine_tuned_and_from_scratch_are_distinguished() -> None:
    name = "cnn2 ReLU, lr 1e-3, 500 epochs"
    sentence = standings(transfer(1e-3, 2e-3), "test_mse", None)[0]
    assert sentence.startswith(f"{name}, fine-tuned wins")
    assert f"50 % below {name}, from scratch (2.00e-3)" in sentence


@pytest.mark.parametrize(
    ("first", "second", "verdict"),
    [([36.0, 36.1], [35.0, 35.1], "exceeds"), ([36.0, 34.0], [35.0, 34.5], "does not exceed")],
)
def test_the_gap_is_held_against_the_spread(
    first: list[float], second: list[float], verdict: str
) -> None:
    _, seeds = standings(places("val_psnr", first, second), "val_psnr", None)
    assert seeds.startswith("Over 2 seeds each")
    assert f" {verdict} the spread" in seeds


def test_cells_that_beat_the_constant_predictor_are_counted() -> None:
    sentence = standings(places("val_mse", [1e-4], [2e-4], [3e-4]), "val_mse", 2e-4)[-1]
    assert sentence == "The constant predictor has 2.00e-4: 1 of 3 measured cells beat it."
    sentence = standings(places("val_psnr", [30.0]), "val_psnr", 30.5)[-1]
    assert sentence == "The constant predictor has 30.50 dB: 0 of 1 measured cell beat it."


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
