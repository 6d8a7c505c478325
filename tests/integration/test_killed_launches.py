"""Finals and fine-tuning whose driver was killed end as if nothing had happened."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
import torch

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("local_ray")]

# Long enough that a training is in the middle when another has just ended.
EPOCHS = ["--epochs", "300"]

Words = Callable[[Any], list[str]]


def finals(place: Any) -> list[str]:
    """Words of the command that trains three regressors, one of them for a moment only."""
    rates = ["--lr", "1e-3", "--fc-lr", "1e-4", "--fc-epochs", "2"]
    return ["finals", "regression", *place.data, *place.where, *rates, *EPOCHS]


def finetune(place: Any) -> list[str]:
    """Words of the command that trains a champion further, and its like from scratch."""
    rates = ["--from", "synthetic-faces", "--lr", "1e-4", "--compare-scratch"]
    return ["finetune", "regression", *place.data, *place.where, *rates, *EPOCHS]


@pytest.fixture
def make_champion(run: Callable[..., Any]) -> Callable[[Any], None]:
    """Train one small model, in another folder, and make it champion."""

    def make(place: Any) -> None:
        model = ["--model", "cnn1", "--head", "relu", "--lr", "1e-4", "--epochs", "1", "--promote"]
        elsewhere = ["--storage-path", f"{place.folder}/earlier"]
        trained = run("train", *model, *place.data, *place.where, *elsewhere)
        assert trained.status == 0, trained.err

    return make


@pytest.mark.parametrize("words", [finals, finetune])
def test_a_killed_driver_changes_nothing(
    words: Words,
    make_place: Callable[[], Any],
    make_champion: Callable[[Any], None],
    run: Callable[..., Any],
) -> None:
    undisturbed, place = make_place(), make_place()
    if words is finetune:
        make_champion(undisturbed)
        make_champion(place)
    expected = run(*words(undisturbed), "--format", "json")

    driver = place.start(*words(place), "--max-concurrent-trials", "1")
    place.wait_for(driver, lambda: bool(place.cells()), "the first cell")
    driver.kill()
    finished = {cell_id: cell["ended"] for cell_id, cell in place.cells().items()}
    assert 0 < len(finished) < len(undisturbed.cells())
    resumed = run(*place.resume("last"), "--format", "json")

    assert resumed.status == expected.status, resumed.err
    assert without_names(json.loads(resumed.out)) == without_names(json.loads(expected.out))
    assert {cell_id: place.cells()[cell_id]["ended"] for cell_id in finished} == finished
    assert_same_cells(place, undisturbed)
    assert_once_in_mlflow(place)


def without_names(document: Any) -> Any:
    """What was printed, without the ids that every launch and run has of its own."""
    if isinstance(document, dict):
        own = ("launch_id", "run_id", "model_id")
        return {key: without_names(value) for key, value in document.items() if key not in own}
    return [*map(without_names, document)] if isinstance(document, list) else document


def assert_same_cells(place: Any, undisturbed: Any) -> None:
    cells, expected = place.cells(), undisturbed.cells()
    assert cells.keys() == expected.keys()
    for cell_id, cell in cells.items():
        assert losses(cell) == losses(expected[cell_id])
        assert cell["metrics"] == expected[cell_id]["metrics"]
        weights, wanted = place.weights(cell_id), undisturbed.weights(cell_id)
        assert weights.keys() == wanted.keys()
        assert all(torch.equal(weights[name], wanted[name]) for name in wanted)


def assert_once_in_mlflow(place: Any) -> None:
    cells = place.cells()
    runs = place.runs(f"tags.`chromatune.launch_id` = '{place.launch().name}'")
    assert runs.keys() == {"", *cells}
    assert {run.info.status for run in runs.values()} == {"FINISHED"}
    for cell_id, cell in cells.items():
        assert place.metric(runs[cell_id], "train_loss") == losses(cell)
        measured = place.metric(runs[cell_id], "test_mse")
        assert len(measured) == 1


def losses(cell: dict[str, Any]) -> list[tuple[int, float]]:
    return [(one["epoch"], one["train_loss"]) for one in cell["history"]]
