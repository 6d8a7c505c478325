"""Samples of a model's test pictures: scores computed independently, tiles read from the sheets."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

from data_prep import PreparedDataset, PrepareSettings, lab_to_rgb, prepare
from models import ChromaModel, create_model
from tuning.display.pictures import cut_grid
from tuning.inference.samples import COPIES, write_showcase
from tuning.training.data import load_split
from tuning.training.metrics import evaluate

SIZE = 64


@pytest.fixture(scope="module")
def fruits(tmp_path_factory: pytest.TempPathFactory) -> PreparedDataset:
    settings = PrepareSettings(dataset="synthetic-fruits", count=120, size=SIZE)
    return prepare(settings, tmp_path_factory.mktemp("data")).dataset


def model_of(task: str) -> ChromaModel:
    torch.manual_seed(0)
    name, head = ("autoencoder", "sigmoid") if task == "colorizer" else ("cnn2", "tanh")
    return create_model(name, head=head, image_size=SIZE).eval()


@pytest.fixture(scope="module", params=["regression", "colorizer"])
def shown(
    request: pytest.FixtureRequest, fruits: PreparedDataset, tmp_path_factory: Any
) -> tuple[ChromaModel, Path, dict[str, Any]]:
    model, folder = model_of(request.param), tmp_path_factory.mktemp("showcase")
    write_showcase(model, fruits, folder)
    return model, folder, json.loads((folder / "scores.json").read_text())


def tiles(folder: Path, document: dict[str, Any], name: str) -> list[list[NDArray[np.uint8]]]:
    sheet = document["sheets"][name]
    with Image.open(folder / f"{name}.png") as image:
        page = np.asarray(image)
    return cut_grid(page, len(sheet["rows"]), len(sheet["columns"]))


def test_scores_add_up_to_the_figures_of_the_gate(shown: Any, fruits: PreparedDataset) -> None:
    model, _, document = shown
    test = load_split(fruits, "test", model.task)
    expected = evaluate(model, test, model.task, prefix="test_")
    scores = [picture["mse"] for picture in document["pictures"]]
    assert np.mean(scores) == pytest.approx(expected["test_mse"], rel=1e-6)
    constant = [picture["constant_mse"] for picture in document["pictures"]]
    assert np.mean(constant) == pytest.approx(document["constant"]["test_mse"], rel=1e-6)
    assert set(expected) == set(document["constant"])


def test_pictures_are_named_and_the_ends_of_their_ranking_shown(
    shown: Any, fruits: PreparedDataset
) -> None:
    _, _, document = shown
    named = [(picture["name"], picture["category"]) for picture in document["pictures"]]
    assert named == [(file.name, file.category) for file in fruits.files("test")]
    assert document["photographs"] is False
    scores = [picture["mse"] for picture in document["pictures"]]
    best, worst = (document["sheets"][name]["rows"] for name in ("best", "worst"))
    assert [scores[row] for row in best] == sorted(scores)[:10]
    assert [scores[row] for row in worst] == sorted(scores)[::-1][:10]


@pytest.mark.parametrize("name", ["samples", "best", "worst", "train_samples"])
def test_sheets_show_the_pictures_they_name(shown: Any, fruits: PreparedDataset, name: str) -> None:
    _, folder, document = shown
    sheet = document["sheets"][name]
    planes, columns = fruits.planes(sheet["split"]), sheet["columns"]
    copies = 10 if sheet["split"] == "train" else 1  # the first of them is the original
    for number, cut in zip(sheet["rows"], tiles(folder, document, name), strict=True):
        row = number * copies
        truth = lab_to_rgb(*(np.asarray(plane[row]) for plane in (planes.L, planes.a, planes.b)))
        assert (cut[columns.index("true")] == truth).all()
        gray = cut[columns.index("grayscale")].astype(int)
        assert np.ptp(gray, axis=-1).max() <= 2


def test_copies_are_named_and_as_trained_on(shown: Any, fruits: PreparedDataset) -> None:
    _, folder, document = shown
    planes, sheet = fruits.planes("train"), document["sheets"]["copies"]
    assert tuple(sheet["columns"]) == COPIES
    for number, cut in zip(sheet["rows"], tiles(folder, document, "copies"), strict=True):
        for copy, tile in enumerate(cut):
            row = number * 10 + copy
            stored = (np.asarray(plane[row]) for plane in (planes.L, planes.a, planes.b))
            # Cut from the prepared 8-bit Lab rather than from the source: rounding differs.
            assert np.abs(tile.astype(int) - lab_to_rgb(*stored)).mean() < 2
        named = dict(zip(COPIES, cut, strict=True))
        assert (named["flip"] == named["original"][:, ::-1]).all()
        for shift in ("vertical shift + zoom", "horizontal shift + zoom"):
            difference = named[f"{shift}, flipped"].astype(int) - named[shift][:, ::-1]
            assert np.abs(difference).max() <= 1
        assert (named["zoom"] != named["original"]).any()


def test_a_set_without_copies_shows_them_all_the_same(tmp_path: Path) -> None:
    settings = PrepareSettings(dataset="synthetic-faces", count=20, size=SIZE, augment=1)
    dataset = prepare(settings, tmp_path).dataset
    (tmp_path / "out").mkdir()
    write_showcase(model_of("regression"), dataset, tmp_path / "out")
    document = json.loads((tmp_path / "out" / "scores.json").read_text())
    assert document["sheets"]["copies"]["augment"] == 1
    assert len(document["sheets"]["best"]["rows"]) == len(document["pictures"]) == 2
    assert {picture["category"] for picture in document["pictures"]} == {None}
    assert len(tiles(tmp_path / "out", document, "copies")[0]) == 10


def test_swatches_are_the_mean_colours(fruits: PreparedDataset, tmp_path: Path) -> None:
    write_showcase(model_of("regression"), fruits, tmp_path)
    document = json.loads((tmp_path / "scores.json").read_text())
    planes, rows = fruits.planes("test"), document["sheets"]["samples"]["rows"]
    for row, cut in zip(rows, tiles(tmp_path, document, "samples"), strict=True):
        means = [round(float(plane[row].mean())) for plane in (planes.L, planes.a, planes.b)]
        colour = lab_to_rgb(*np.array(means, np.uint8).reshape(3, 1, 1))
        assert np.abs(cut[2].astype(int) - colour).max() <= 3
        assert np.ptp(cut[1].reshape(-1, 3), axis=0).max() == 0
