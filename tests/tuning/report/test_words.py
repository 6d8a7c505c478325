"""Sentences follow the figures: change a figure, and the sentence changes."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from tests.tuning.report.stores import make_cell, make_launch
from tuning.report._places import Place, gather
from tuning.report._prose import (
    beside_constant,
    difference,
    tuned_and_scratch,
    who_wins,
)


def places(metric: str, *values: Sequence[float]) -> list[Place]:
    """Places of models a, b, c, … with these values, one a seed."""
    cells = [
        make_cell("abc"[number], seed=seed, **{metric: value})
        for number, seeds in enumerate(values)
        for seed, value in enumerate(seeds)
    ]
    return gather(make_launch(cells).cells)


def test_the_winner_is_named_with_its_lead() -> None:
    sentence, seeds = who_wins(places("val_mse", [2e-4], [1e-4]), "val_mse")
    assert sentence.startswith("b ReLU, lr 1e-3, 500 epochs wins with a validation MSE of 1.00e-4")
    assert "50 % below a ReLU" in sentence
    assert "one seed" in seeds
    sentence, _ = who_wins(places("val_psnr", [36.0], [35.25]), "val_psnr")
    assert "a ReLU, lr 1e-3, 500 epochs wins" in sentence
    assert "36.00 dB, 0.75 dB above b ReLU" in sentence


def test_twins_are_told_apart_by_where_they_started() -> None:
    def sentence(tuned: float, scratch: float) -> str:
        cells = [
            make_cell("cnn2", parent="models:/faces-regression/1", test_mse=tuned),
            make_cell("cnn2", suffix="-scratch", test_mse=scratch),
        ]
        return who_wins(gather(make_launch(cells).cells), "test_mse")[0]

    name = "cnn2 ReLU, lr 1e-3, 500 epochs"
    assert f"{name}, fine-tuned wins" in sentence(1e-3, 2e-3)
    assert f"50 % below {name}, from scratch (2.00e-3)" in sentence(1e-3, 2e-3)
    assert f"{name}, from scratch wins" in sentence(2e-3, 1e-3)
    assert f"{name}, fine-tuned and {name}, from scratch tie" in sentence(1e-3, 1e-3)


def test_a_tie_is_no_victory() -> None:
    (sentence,) = who_wins(places("val_psnr", [36.001], [36.002]), "val_psnr")
    assert "tie at a validation PSNR of 36.00 dB" in sentence


@pytest.mark.parametrize(
    ("first", "second", "verdict"),
    [([36.0, 36.1], [35.0, 35.1], "exceeds"), ([36.0, 34.0], [35.0, 34.5], "does not exceed")],
)
def test_the_gap_is_held_against_the_spread(
    first: list[float], second: list[float], verdict: str
) -> None:
    _, seeds = who_wins(places("val_psnr", first, second), "val_psnr")
    assert f" {verdict} the spread" in seeds
    assert seeds.startswith("Over 2 seeds each")


def test_the_constant_predictor_is_beaten_or_not() -> None:
    sentence = beside_constant(places("val_mse", [1e-4], [2e-4], [3e-4]), "val_mse", 2e-4)
    assert sentence == "The constant predictor has 2.00e-4: 1 of 3 measured cells beat it."
    sentence = beside_constant(places("val_mse", [1e-4]), "val_mse", 2e-4)
    assert sentence == "The constant predictor has 2.00e-4 and is beaten."
    sentence = beside_constant(places("val_psnr", [30.0]), "val_psnr", 30.5)
    assert sentence == "The constant predictor has 30.50 dB and is not beaten."


def test_transfer_helps_or_hurts() -> None:
    def sentence(tuned: float, scratch: float) -> str:
        cells = [
            make_cell("cnn2", parent="models:/faces-regression/1", test_mse=tuned),
            make_cell("cnn2", suffix="-scratch", test_mse=scratch),
            make_cell("cnn1", suffix="-scratch", test_mse=1.0),
        ]
        (found,) = tuned_and_scratch(gather(make_launch(cells).cells), "test_mse")
        return found

    assert "helps: 1.00e-3 against 2.00e-3, 50 % below" in sentence(1e-3, 2e-3)
    assert "hurts: 3.00e-3 against 2.00e-3, 50 % above" in sentence(3e-3, 2e-3)
    assert "changes nothing" in sentence(2e-3, 2e-3)


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
