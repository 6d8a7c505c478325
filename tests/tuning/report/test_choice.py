"""Which data and which launches a report shows."""

from __future__ import annotations

from typing import Any

import pytest

from tests.tuning.report.stores import make_cell, make_launch, make_store, whole_grid
from tuning.errors import ChromatuneError
from tuning.report._selection import choose, grid_launches


@pytest.fixture
def done() -> list[Any]:
    return [make_cell(val_mse=1e-4)]


def test_photographs_win_over_drawn_pictures(done: Any) -> None:
    real = make_launch(done, dataset="faces")
    drawn = make_launch(done * 5, dataset="synthetic-faces", source="synthetic", age=9)
    choice = choose(make_store(real, drawn))
    assert choice.source is not None
    assert (choice.source.name, choice.source.role) == ("faces", "faces")
    assert [data.name for data in choice.others] == ["synthetic-faces"]


def test_drawn_pictures_win_over_photographs_that_nothing_was_finished_of(done: Any) -> None:
    real = make_launch([make_cell(outcome="failed")], dataset="faces")
    drawn = make_launch(done, dataset="synthetic-faces", source="synthetic")
    choice = choose(make_store(real, drawn))
    assert choice.source is not None
    assert choice.source.name == "synthetic-faces"


def test_the_target_is_what_the_source_was_fine_tuned_on(done: Any) -> None:
    parent = {"parent_model": "models:/faces-regression/1"}
    store = make_store(
        make_launch(done),
        make_launch(done, kind="finetune", dataset="ncd", document=parent),
        make_launch(done * 3, kind="finetune", dataset="synthetic-fruits", age=5),
    )
    choice = choose(store)
    assert choice.target is not None
    assert (choice.target.name, choice.target.role) == ("ncd", "ncd")
    named = choose(store, target="synthetic-fruits")
    assert named.target is not None
    assert named.target.name == "synthetic-fruits"


def test_each_dataset_stands_in_the_part_that_it_is_like(done: Any) -> None:
    """Single trainings on both, and more of them on the second, are no reason to swap the parts."""
    store = make_store(
        make_launch(done, kind="train"), make_launch(done * 3, kind="train", dataset="ncd", age=1)
    )
    choice = choose(store)
    assert [(data.name, data.role) for data in choice.shown] == [("faces", "faces"), ("ncd", "ncd")]


def test_a_grid_on_other_pictures_stands_in_for_a_missing_first_part(done: Any) -> None:
    choice = choose(make_store(make_launch(done, dataset="ncd")))
    assert [(data.name, data.role) for data in choice.shown] == [("ncd", "faces")]
    single = choose(make_store(make_launch(done, kind="train", dataset="ncd")))
    assert [(data.name, data.role) for data in single.shown] == [("ncd", "ncd")]


def test_a_name_may_say_which_preparation(done: Any) -> None:
    store = make_store(
        make_launch(done * 2, digest="aa11"), make_launch(done, digest="bb22", age=1)
    )
    chosen = choose(store, dataset="faces@bb")
    assert chosen.source is not None
    assert chosen.source.digest == "bb22"
    default = choose(store)
    assert default.source is not None
    assert default.source.digest == "aa11"


def test_an_unknown_name_is_told_with_the_nearest(done: Any) -> None:
    store = make_store(make_launch(done))
    with pytest.raises(ChromatuneError, match=r"--dataset face: .*did you mean 'faces'"):
        choose(store, dataset="face")
    with pytest.raises(ChromatuneError, match="--target ncd: no such launches"):
        choose(store, target="ncd")


def test_the_grid_is_of_one_recipe_whatever_its_seeds() -> None:
    first, again = (whole_grid("regression", lambda value: value, age=age) for age in (0, 1))
    other = make_launch(
        [make_cell(val_mse=1e-9)],
        age=5,
        document={"config": {"training": {"batch_size": 16, "seed": 0}, "grid": {}}},
    )
    choice = choose(make_store(first, again, other))
    assert choice.source is not None
    assert grid_launches(choice.source, "regression") == [first, again]
    assert grid_launches(choice.source, "colorizer") == []


def test_more_of_the_reports_grid_counts_for_more_than_being_new() -> None:
    scaled = make_launch(
        [make_cell(epochs=n, published=p, val_mse=1e-4) for n, p in ((5, 100), (15, 300))],
        age=3,
        document={"config": {"grid": {"epoch_scale": 0.05}}},
    )
    whole = whole_grid("regression", lambda value: value)
    choice = choose(make_store(whole, scaled))
    assert choice.source is not None
    assert grid_launches(choice.source, "regression") == [whole]
