"""Which data and which launches a report shows."""

from __future__ import annotations

from functools import partial

import pytest

from tests.tuning.report.stores import make_cell, make_launch, make_store, whole_grid
from tuning.errors import ChromatuneError
from tuning.report._selection import choose, grid_launches
from tuning.tracking.stored_runs import StoredLaunch

DONE = [make_cell(val_mse=1e-4)]
FAILED = [make_cell(outcome="failed")]
drawn = partial(make_launch, dataset="synthetic-faces", source="synthetic")
tuned = partial(
    make_launch,
    DONE,
    kind="finetune",
    dataset="ncd",
    document={"parent_model": "models:/faces-regression/1"},
)
trained = partial(make_launch, kind="train")


@pytest.mark.parametrize(
    ("launches", "faces", "ncd"),
    [
        # Photographs win over drawn pictures, unless nothing was finished of them.
        ([make_launch(DONE), drawn(DONE * 5, age=9)], "faces", None),
        ([make_launch(FAILED), drawn(DONE)], "synthetic-faces", None),
        # The target is what the source was fine-tuned on.
        (
            [
                *(make_launch(DONE), tuned()),
                make_launch(DONE * 3, kind="finetune", dataset="synthetic-fruits", age=5),
            ],
            *("faces", "ncd"),
        ),
        # More single trainings on the second dataset are no reason to swap the parts.
        ([trained(DONE), trained(DONE * 3, dataset="ncd", age=1)], "faces", "ncd"),
        # A grid on other pictures stands in for a missing first part, a single training does not.
        ([make_launch(DONE, dataset="ncd")], "ncd", None),
        ([trained(DONE, dataset="ncd")], None, "ncd"),
    ],
)
def test_each_dataset_stands_in_the_part_that_it_is_like(
    launches: list[StoredLaunch], faces: str | None, ncd: str | None
) -> None:
    choice = choose(make_store(*launches))
    shown = [(data.name, data.role) for data in choice.shown]
    assert shown == [(name, role) for name, role in ((faces, "faces"), (ncd, "ncd")) if name]
    others = {launch.dataset for launch in launches} - {faces, ncd}
    assert {data.name for data in choice.others} == others


def test_a_name_chooses_the_data_and_may_choose_the_preparation() -> None:
    store = make_store(
        make_launch(DONE * 2, digest="aa11"), make_launch(DONE, digest="bb22", age=1), tuned()
    )
    assert choose(store, dataset="faces@bb").source.digest == "bb22"
    assert choose(store).source.digest == "aa11"
    assert choose(store, dataset="ncd", target="faces").target.name == "faces"
    with pytest.raises(ChromatuneError, match=r"--dataset face: .*did you mean 'faces'"):
        choose(store, dataset="face")


def test_the_grid_is_of_one_recipe_whatever_its_seeds() -> None:
    first, again = (whole_grid("regression", lambda value: value, age=age) for age in (0, 1))
    config = {"training": {"batch_size": 16, "seed": 0}, "grid": {}}
    other = make_launch([make_cell(val_mse=1e-9)], age=5, document={"config": config})
    source = choose(make_store(first, again, other)).source
    assert grid_launches(source, "regression") == [first, again]
    assert grid_launches(source, "colorizer") == []


def test_more_of_the_published_grid_counts_for_more_than_being_new() -> None:
    scaled = make_launch(
        [make_cell(epochs=n, published=p, val_mse=1e-4) for n, p in ((5, 100), (15, 300))],
        age=3,
        document={"config": {"grid": {"epoch_scale": 0.05}}},
    )
    whole = whole_grid("regression", lambda value: value)
    assert grid_launches(choose(make_store(whole, scaled)).source, "regression") == [whole]
