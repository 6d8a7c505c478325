"""One configuration trained alone, from a file as a search leaves one, and what begins with it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from models import load_model
from tuning.tracking.fetch_weights import load_registered
from tuning.tracking.registry.catalog import find_champion
from tuning.training.data import load_split
from tuning.training.metrics import evaluate

pytestmark = pytest.mark.slow

TRAIN = {
    "model": "unet",
    "head": "tanh",
    "model_kwargs": {"width": 8, "depth": 2, "categories": 50},
    "lr": 3e-3,
    "epochs": 4,
    "mean_weight": 0.5,
    "category_weight": 0.01,
    "optimizer": "adamw",
    "schedule": "onecycle",
    "warmup": 0.2,
    "precision": "bfloat16",
    "ema": 0.9,
    "flip_average": True,
    "flip": True,
    "zoom": 0.8,
    "keep": "best",
}


def test_a_file_is_trained_measured_and_promoted_and_a_regressor_begins_with_it(
    place: Any, pictures: Any, run: Callable[..., Any], tmp_path: Path
) -> None:
    file = tmp_path / "best.yaml"
    file.write_text(yaml.safe_dump({"train": TRAIN}))
    shared = [*place.data, *place.where, "--backend", "serial", "--format", "json"]
    done = run("train", "-c", str(file), *shared, "--promote", "--force")
    assert done.status == 0, done.err
    assert "by force" in json.loads(done.out)["promotions"][0]["decision"]
    table, *_ = json.loads(done.out)["tables"]
    printed = table["rows"][0]["measured"]

    cell = place.cells()["unet-tanh-lr3e-3-e4"]
    scores = [record["val_mse"] for record in cell["history"]]
    assert cell["metrics"]["val_mse"] == min(scores) == scores[cell["kept_epoch"] - 1]
    assert cell["params"]["ema"] == 0.9

    champion = find_champion(place.store, pictures.name, "colorizer")
    assert champion is not None
    model = load_registered(champion.uri, place.store, "cpu")
    assert model.flip_average
    test = load_split(pictures, "test", "colorizer")
    assert evaluate(model, test, "colorizer", prefix="test_") == printed

    regressor = {**TRAIN, "model": "unet_mean", "epochs": 1, "lr": 1e-5, "ema": 0.0}
    file.write_text(yaml.safe_dump({"train": regressor}))
    begun = run("train", "-c", str(file), *shared, "--initial-model", champion.uri)
    assert begun.status == 0, begun.err
    (weights,) = place.folder.glob("ray_results/train-regression*/*/cells/*/model.safetensors")
    means = load_model(weights)
    # One epoch at a tiny rate: it still is the colorizer that it began as.
    was = evaluate(model, test, "colorizer", prefix="")
    now = evaluate(means, test, "regression", prefix="")
    assert now["mse"] < was["mse"]

    other = run(
        "train", "-c", str(file), *shared, "--initial-model", champion.uri, "--head", "relu"
    )
    assert other.status == 2
    assert "cannot begin with" in other.err
    assert "its head is 'tanh'" in other.err
