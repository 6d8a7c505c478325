"""What cannot work is refused before anything is trained: exit status 2, one line, no trace."""

from __future__ import annotations

from typing import Any

import pytest

from tests.commands import refusal

UNET = ("train", "--lr", "1e-3", "--epochs", "1", "--model", "unet")
WRONG = [
    (("grid", "--dataset", "fases"), "did you mean 'faces'?"),
    (("grid", "--models", "cnn4"), "'cnn4' is not a regression model; did you mean 'cnn"),
    (("grid", "--set", "training.bach_size=5"), "did you mean 'batch_size'?"),
    (("grid", "--epochs", "1,two"), "'grid.epochs.1' is wrong: input should be a valid"),
    (("grid", "--epochs", ""), "'grid.epochs' is wrong: list should have at least 1 item"),
    (("grid", "--time-budget-s", "-5"), "'resources.time_budget_s' is wrong"),
    (("grid", "--config", "nowhere.yaml"), "cannot read the configuration"),
    (("grid", "--tracking-uri", "mlruns"), "the tracking URI 'mlruns' is a folder"),
    (("grid", "--tracking-uri", "http://127.0.0.1:1"), "cannot be reached"),
    (("grid", "--epochz", "1"), "No such option: --epochz"),
    (("grid", "--count", "0"), "chromatune grid --help`)"),
    ((*UNET, "--model", "unte"), "error: unknown model 'unte'; did you mean 'unet'"),
    (UNET[:-2], "'train.model' is missing"),
    ((*UNET, "--set", "train.zooom=0.5"), "unknown key 'train.zooom'; did you mean 'zoom'"),
    ((*UNET, "--set", "train.zoom=2"), "'train.zoom' is wrong"),
    ((*UNET, "--size", "72"), "unet cannot take image_size 72 (valid: "),
    ((*UNET, "--set", "train.model_kwargs.wdth=8"), "wdth"),
]


@pytest.mark.parametrize(("words", "expected"), WRONG)
def test_what_cannot_work_is_one_line(words: tuple[str, ...], expected: str, place: Any) -> None:
    if words[0] == "grid":
        words = tuple(place.grid("regression", *words[1:]))
    else:
        words = (*words, *place.data, *place.where)
    assert expected in refusal(*words)
    assert place.launches() == []


def test_pictures_that_are_not_prepared(place: Any) -> None:
    said = refusal("grid", "regression", "--data-root", str(place.folder), *place.where)
    assert "chromatune prepare faces" in said
    assert place.launches() == []


def test_resuming_what_is_not_there(place: Any) -> None:
    assert "no launch in" in refusal(*place.resume())
    assert "no launch 'grid-regres" in refusal(*place.resume("grid-regression-faces-1"))


@pytest.mark.parametrize("words", [("report",), ("trials", "regression")])
def test_a_mistyped_store_is_not_made(words: Any, place: Any) -> None:
    before = sorted(place.folder.rglob("*"))
    store = f"sqlite:///{place.folder}/mlrun/mlflow.db"
    assert f"no MLflow store at {store}" in refusal(*words, "--tracking-uri", store)
    assert sorted(place.folder.rglob("*")) == before
