"""Commands that name a dataset and nothing else, where it was prepared in one other way."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import yaml

SERIAL = ("--backend", "serial")


def test_what_was_trained_on_is_recorded_and_found_again(
    place: Any, pictures: Any, run: Callable[..., Any]
) -> None:
    """The configuration says which preparation was meant, not what the defaults would have been."""
    name = ["--dataset", pictures.name, "--data-root", str(pictures.folder.parent)]
    store = ["--tracking-uri", place.store]
    before = sorted(pictures.folder.parent.iterdir())

    done = run(
        *("grid", "regression", *name, *place.where, "--models", "cnn1", "--lrs", "1e-3"),
        *("--epochs", "1", "--set", "training.batch_size=10", *SERIAL),
    )
    assert done.status == 0, done.err
    parent = place.runs()[""]
    place.client().download_artifacts(parent.info.run_id, "config.yaml", str(place.folder))
    config = yaml.safe_load((place.folder / "config.yaml").read_text())
    settings = pictures.manifest.settings.model_dump()
    assert {key: config["data"][key] for key in settings} == settings

    for command in (
        ["resume", "last", *place.where],
        ["trials", "regression", *name, *store],
        ["promote", "regression", *name, *store, "--force"],
        [
            *("finetune", "regression", "--from", pictures.name, *name, *place.where),
            *("--epochs", "1", "--set", "training.batch_size=10", *SERIAL, "--force"),
        ],
    ):
        finished = run(*command)
        assert finished.status == 0, finished.err
        assert finished.out
    assert sorted(pictures.folder.parent.iterdir()) == before


def test_finals_are_refused_before_any_training_if_one_grid_is_missing(
    place: Any, run: Callable[..., Any]
) -> None:
    done = run(*place.grid("regression", "--lrs", "1e-3", "--epochs", "1"), *SERIAL)
    assert done.status == 0, done.err
    (grid,) = place.launches()
    refused = run("finals", *place.data, *place.where, "--fc-epochs", "1", *SERIAL)
    assert refused.status == 2
    assert "no finished colorizer grid" in refused.err
    assert refused.err.count("\n") == 1
    assert place.launches() == [grid]
