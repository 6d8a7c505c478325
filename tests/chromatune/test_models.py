"""A model of Python's own: promoted, loaded, at work on arrays and files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

import chromatune
from chromatune import ChromatuneError, Model
from data_prep import rgb_to_lab
from data_prep.synthetic.fruits import CATEGORIES, draw_fruit
from models import load_model as load_weights

NAME = "synthetic-fruits"
pytestmark = [
    pytest.mark.filterwarnings("error:::(chromatune|tuning|models|data_prep)"),
    pytest.mark.filterwarnings("ignore"),
]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("models")


@pytest.fixture(scope="module")
def where(place: Path) -> dict[str, Any]:
    return {"tracking_uri": f"sqlite:///{place}/mlflow.db"}


@pytest.fixture(scope="module")
def colorizer(place: Path, where: dict[str, Any]) -> Model:
    data = {"data_root": place / "data", "dataset": NAME}
    chromatune.prepare(NAME, size=64, count=40, augment=1, data_root=place / "data")
    launch = {"backend": "serial", "storage_path": place / "launches", "epochs": 1, "lr": 1e-3}
    for model in ("cnn1", "autoencoder"):
        chromatune.train(model=model, **data, **launch, **where)
    chromatune.promote("regression", force=True, **data, **where)
    return chromatune.promote("colorizer", force=True, **data, **where)


@pytest.fixture(scope="module")
def picture() -> NDArray[np.uint8]:
    return draw_fruit(3, CATEGORIES[1], 0, 90)[:70]


def test_a_promoted_model_is_the_champion_that_is_loaded(
    colorizer: Model, where: dict[str, Any]
) -> None:
    loaded = chromatune.load_model(f"{NAME}-colorizer@champion", **where)
    for model in (colorizer, loaded):
        assert (model.name, model.version, model.is_champion) == (f"{NAME}-colorizer", 1, True)
        assert "becomes the first champion by force" in model.decision
        assert repr(model) == f"<Model {NAME}-colorizer version 1, champion>"
    assert loaded.metrics == colorizer.metrics
    client = mlflow.MlflowClient(where["tracking_uri"], where["tracking_uri"])
    run = client.get_run(client.get_model_version(loaded.name, "1").run_id)
    assert loaded.metrics["test_psnr"] == run.data.metrics["test_psnr"]
    assert f"{loaded.metrics['test_psnr']:.2f}" in loaded._repr_html_()


def test_arrays_are_colored_as_files_are_and_as_by_mlflow(
    colorizer: Model,
    where: dict[str, Any],
    picture: NDArray[np.uint8],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    colored = colorizer.colorize(picture)
    assert (colored.shape, colored.dtype) == (picture.shape, np.uint8)
    L = rgb_to_lab(picture)[..., 0]
    assert np.abs(rgb_to_lab(colored)[..., 0].astype(int) - L).max() <= 1
    Image.fromarray(picture).save(tmp_path / "fruit.png")
    outcome = chromatune.colorize(
        tmp_path / "fruit.png", mode=NAME, out=tmp_path / "out", evaluate=True, **where
    )
    (result,) = outcome.colorized
    assert repr(outcome) == "<Outcome: 1 colorized, 0 failed>"
    assert f"<td>{result.scores['psnr']:.2f}</td>" in outcome._repr_html_()
    assert outcome.failed == []
    assert result.scores.keys() >= {"psnr", "ssim"}
    with Image.open(result.job.picture) as image:
        assert (np.asarray(image) == colored).all()

    monkeypatch.setenv("MLFLOW_TRACKING_URI", where["tracking_uri"])
    for task in ("colorizer", "regression"):
        name = f"{NAME}-{task}@champion"
        served = mlflow.pyfunc.load_model(f"models:/{name}").predict(L[None])
        mean = chromatune.load_model(name, **where).predict_mean(picture)
        if task == "regression":
            assert mean == pytest.approx(tuple(served[0]), abs=1e-3)
        else:
            lab = mlflow.pyfunc.load_model(f"models:/{name}").predict(L[None], {"output": "lab"})
            # Of planes enlarged and rounded to whole levels.
            assert mean == pytest.approx(tuple(lab[0, ..., 1:].mean(axis=(0, 1)) - 128.0), abs=0.5)


def test_a_gray_image_is_its_lightness(colorizer: Model, picture: NDArray[np.uint8]) -> None:
    gray = np.full((20, 30), 119, np.uint8)
    assert (colorizer.colorize(gray) == colorizer.colorize(np.stack([gray] * 3, -1))).all()
    with pytest.raises(ChromatuneError, match=r"uint8 array .* but got float64 \(70, 90, 3\)"):
        colorizer.colorize(picture / 255)  # type: ignore[arg-type]


@pytest.mark.usefixtures("colorizer")
def test_a_model_of_either_task_is_exported(where: dict[str, Any], tmp_path: Path) -> None:
    chromatune.colorize(mode=NAME, export=tmp_path / "colorizer.safetensors", **where)
    name = f"models:/{NAME}-regression/1"
    chromatune.colorize(model=name, export=tmp_path / "mean.safetensors", **where)
    for file, task in (("colorizer", "colorizer"), ("mean", "regression")):
        assert load_weights(tmp_path / f"{file}.safetensors").task == task
    with pytest.raises(ChromatuneError, match=r"must end in .safetensors or .onnx"):
        chromatune.colorize(mode=NAME, export=tmp_path / "model.pt", **where)
    with pytest.raises(ChromatuneError, match="nothing to do"):
        chromatune.colorize(mode=NAME, **where)


@pytest.mark.usefixtures("colorizer")
def test_the_finals_of_both_tasks_are_two_launches(place: Path) -> None:
    where = {"data_root": place / "data", "storage_path": place / "finals", "backend": "serial"}
    found = chromatune.finals(dataset=NAME, lr=1e-3, epochs=1, fc_epochs=1, **where)
    assert [launch.document["task"] for launch in found] == ["regression", "colorizer"]
    assert [len(launch.cells) for launch in found] == [3, 2]


@pytest.mark.usefixtures("colorizer")
def test_wrong_names_are_errors(where: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(ChromatuneError, match="did you mean 'synthetic-fruits-colorizer'"):
        chromatune.load_model("synthetic-fruit-colorizer@champion", **where)
    with pytest.raises(ChromatuneError, match=r"there is no file own\.py"):
        chromatune.load_model(f"{NAME}-colorizer@champion", import_="own.py", **where)
    with pytest.raises(ChromatuneError, match="either mode"):
        chromatune.colorize(tmp_path, **where)
    regressor = chromatune.load_model(f"{NAME}-regression@champion", **where)
    with pytest.raises(ChromatuneError, match="use predict_mean"):
        regressor.colorize(np.zeros((8, 8), np.uint8))


@pytest.mark.usefixtures("colorizer")
def test_the_report_is_written_where_it_says(where: dict[str, Any], tmp_path: Path) -> None:
    (file,) = chromatune.report(out=tmp_path / "report", format_="md", **where)
    assert file.is_relative_to(tmp_path / "report")
    assert f"\n{NAME} · " in file.read_text()
