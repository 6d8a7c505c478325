"""Grids with a real MLflow: what they leave behind, and that their numbers are right."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
import torch
from PIL import Image

from data_prep import PreparedDataset
from models import load_model
from tuning.training.config import FitConfig
from tuning.training.data import load_task_data

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def plain(pictures: PreparedDataset) -> dict[str, tuple[list[dict[str, Any]], dict[str, Any]]]:
    """History and weights of every cell of the small grid, trained without Ray and MLflow."""
    from tuning.training.loop import fit

    data = load_task_data(pictures, "regression")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # as trials of one core: sums in another order differ
    found = {}
    try:
        for lr, name in ((1e-3, "1e-3"), (1e-4, "1e-4")):
            config = FitConfig("cnn1", "relu", lr, milestones=(2, 60), batch_size=10)
            for result in fit(config, data):
                if result.milestone:
                    state = result.state
                    weights = {key: one.clone() for key, one in state.model.state_dict().items()}
                    cell_id = f"cnn1-relu-lr{name}-e{result.record['epoch']}"
                    found[cell_id] = (_numbers(state.history), weights)
    finally:
        torch.set_num_threads(threads)
    return found


def test_every_cell_leaves_its_numbers_and_its_model(finished_grid: Any) -> None:
    place, finished = finished_grid
    assert finished.status == 0, finished.err
    assert {cell["cell_id"]: cell["outcome"] for cell in finished.cells} == {
        f"cnn1-relu-lr{lr}-e{epochs}": "finished" for lr in ("1e-3", "1e-4") for epochs in (2, 60)
    }
    cells = place.cells()
    for printed in finished.cells:
        cell = cells[printed["cell_id"]]
        assert cell["params"]["epochs"] == printed["epochs"] == len(cell["history"])
        assert cell["metrics"] == printed["metrics"]
        folder = place.launch() / cell["training_id"] / "cells" / cell["cell_id"]
        assert load_model(folder / "model.safetensors").spec["name"] == "cnn1"
    (table,) = json.loads(finished.out)["tables"]
    assert table["baseline"]["val_mse"] > 0


def test_numbers_and_weights_are_those_of_plain_training(finished_grid: Any, plain: Any) -> None:
    place, _ = finished_grid
    cells = place.cells()
    assert cells.keys() == plain.keys()
    for cell_id, (history, weights) in plain.items():
        assert _numbers(cells[cell_id]["history"]) == history
        torch.testing.assert_close(place.weights(cell_id), weights, rtol=0, atol=0)


def test_every_cell_is_one_finished_run_under_one_parent(finished_grid: Any) -> None:
    place, _ = finished_grid
    place.assert_once_in_mlflow()
    cells = place.cells()
    runs = place.runs()
    parent = runs.pop("")
    for cell_id, run in runs.items():
        cell = cells[cell_id]
        assert run.data.tags["mlflow.parentRunId"] == parent.info.run_id
        assert run.data.metrics["val_mse"] == cell["metrics"]["val_mse"]
        (dataset,) = run.inputs.dataset_inputs
        assert dataset.dataset.name == "synthetic-faces"
        assert cell["dataset_digest"].startswith(dataset.dataset.digest)
        assert float(run.data.params["lr"]) == cell["params"]["lr"]


def test_cells_trained_from_scratch_equal_those_cut_from_one_training(
    finished_grid: Any, place: Any, run: Callable[..., Any]
) -> None:
    shared, _ = finished_grid
    finished = run(*place.grid(), "--independent-cells", "--backend", "serial")
    assert finished.status == 0, finished.err
    cells, reference = place.cells(), shared.cells()
    assert {cell["training_id"] for cell in cells.values()} == cells.keys() == reference.keys()
    for cell_id, cell in cells.items():
        assert cell["metrics"] == reference[cell_id]["metrics"]
        histories = cell["history"], reference[cell_id]["history"]
        own, others = ([record["train_loss"] for record in history] for history in histories)
        assert own == others
        torch.testing.assert_close(place.weights(cell_id), shared.weights(cell_id), rtol=0, atol=0)


def test_a_colorizer_leaves_a_sheet_of_pictures(place: Any, run: Callable[..., Any]) -> None:
    words = place.grid("colorizer", "--lrs", "1e-3", "--epochs", "1,2")
    finished = run(*words, "--backend", "serial", "--format", "json")
    assert finished.status == 0, finished.err
    cells = place.cells()
    assert {cell["value"] for cell in finished.cells} == {
        cell["metrics"]["val_psnr"] for cell in cells.values()
    }
    for cell_id, run_ in place.runs().items():
        if not cell_id:
            continue
        (sheet,) = place.launch().glob(f"*/cells/{cell_id}/sheet.png")
        assert Image.open(sheet).size[0] > 128
        files = {file.path for file in place.client().list_artifacts(run_.info.run_id)}
        assert "sheet.png" in files
        assert run_.data.metrics["val_ssim"] == cells[cell_id]["metrics"]["val_ssim"]


def test_a_diverged_training_fails_alone_and_is_not_tried_again(
    place: Any, run: Callable[..., Any]
) -> None:
    words = place.grid("regression", "--lrs", "1e-3,1e30", "--epochs", "1,2")
    finished = run(*words, "--backend", "serial", "--format", "json")
    assert finished.status == 1
    outcomes = {cell["cell_id"]: cell["outcome"] for cell in finished.cells}
    assert outcomes == {
        "cnn1-relu-lr1e-3-e1": "finished",
        "cnn1-relu-lr1e-3-e2": "finished",
        "cnn1-relu-lr1e30-e1": "diverged",
        "cnn1-relu-lr1e30-e2": "diverged",
    }
    assert "cnn1-relu-lr1e30-e1 diverged: the training diverged in epoch 1" in finished.err
    assert "crashed" not in finished.err
    runs = place.runs()
    diverged = runs["cnn1-relu-lr1e30-e1"]
    assert diverged.info.status == "FAILED"
    assert diverged.data.tags["chromatune.outcome"] == "diverged"
    assert "epoch 1" in diverged.data.tags["chromatune.message"]
    assert runs["cnn1-relu-lr1e-3-e2"].info.status == "FINISHED"
    assert runs[""].info.status == "FAILED"

    again = run(*place.resume(), "--format", "json")
    assert (again.status, again.out) == (1, finished.out)
    assert place.runs().keys() == runs.keys()


def test_resuming_a_finished_launch_prints_its_table_and_changes_nothing(
    finished_grid: Any, run: Callable[..., Any]
) -> None:
    place, finished = finished_grid
    files = {path: path.stat().st_mtime_ns for path in place.launch().rglob("*/*")}
    runs = place.runs()
    again = run(*place.resume(), "--format", "json")
    assert (again.status, again.out) == (0, finished.out)
    assert {path: path.stat().st_mtime_ns for path in place.launch().rglob("*/*")} == files
    assert {key: one.to_dictionary() for key, one in place.runs().items()} == {
        key: one.to_dictionary() for key, one in runs.items()
    }


def test_a_grid_on_other_pictures_is_not_resumed(
    finished_grid: Any, place: Any, run: Callable[..., Any]
) -> None:
    other, _ = finished_grid
    launch = place.folder / "ray_results" / other.launch().name
    launch.mkdir(parents=True)
    text = (other.launch() / "launch.json").read_text()
    digest = next(iter(other.cells().values()))["dataset_digest"]
    (launch / "launch.json").write_text(text.replace(digest, "0" * len(digest)))
    refused = run(*place.resume())
    assert refused.status == 2
    assert "prepare the original images again" in refused.err


@pytest.mark.parametrize("command", ["resume", "doctor"])
def test_a_launch_that_was_not_tracked_is_delivered_once(
    command: str, place: Any, run: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(place.folder)
    words = place.grid("regression", "--lrs", "1e-3", "--epochs", "1,2")
    store = words.index("--tracking-uri")
    done = run(*words[:store], *words[store + 2 :], "--backend", "serial")
    assert done.status == 0, done.err
    assert place.runs() == {}
    for _ in range(2):
        delivered = run(*(place.resume() if command == "resume" else ["doctor", *place.where]))
        assert delivered.status == 0, delivered.err + delivered.out
        place.assert_once_in_mlflow()


def _numbers(history: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """A history without what the clock says."""
    clock = ("seconds", "timestamp")
    return [{key: one[key] for key in one if key not in clock} for one in history]
