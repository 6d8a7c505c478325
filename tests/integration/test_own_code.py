"""A network, a loss and a metric of a user's own, through every command that meets them."""

from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml
from mlflow import MlflowClient

from models import UserCode
from tests.commands import Finished, refusal, run
from tests.own_code import forgetting

CODE = """
from torch import nn

from chromatune import register_loss, register_metric, register_model


@register_model(task="colorizer", heads=("tanh",), image_sizes=range(8, 65))
def own_net(image_size, width=4):
    return nn.Sequential(nn.Conv2d(1, width, 3, padding=1), nn.ReLU(), nn.Conv2d(width, 2, 1))


@register_loss
def light_mse(output, target, L):
    return ((output - target).square() * (0.5 + L)).mean()


@register_metric(task="colorizer", mode="max")
def redness(predicted, true):
    assert predicted.shape == true.shape == (4, 32, 32, 3)
    return predicted[..., 0].mean()
"""
OTHER = """
from chromatune import register_metric

@register_metric(task="colorizer", mode="max")
def greenness(predicted, true):
    return predicted[..., 1].mean()
"""
LOAD = """
import sys
sys.path.insert(0, ".")
import mlflow, numpy as np
mlflow.set_tracking_uri(sys.argv[1])
model = mlflow.pyfunc.load_model("models:/synthetic-fruits-colorizer@champion")
print(model.predict(np.zeros((1, 9, 7), np.uint8)).shape)
assert not any(name.split(".")[0] in ("tuning", "chromatune", "models") for name in sys.modules)
"""
DRAWS = """
from optuna.samplers import RandomSampler

class Lowest(RandomSampler):
    def sample_independent(self, study, trial, name, distribution):
        return distribution.low
"""
DIGEST = UserCode("own.py", CODE).digest[:12]
NEWER = CODE.replace("0.5 + L", "0.6 + L")
SEARCH = {
    "import": "own.py",
    "search": {
        "objectives": ["val_redness:max"],
        "num_samples": 2,
        "space": {
            "model": "own_net",
            "head": "tanh",
            "lr": 1e-3,
            "epochs": 1,
            "loss": {"type": "categorical", "choices": ["light_mse", "l1"]},
            "model_kwargs.width": {"type": "int", "low": 2, "high": 4},
        },
    },
}
ON = ("--dataset", "synthetic-fruits", "--backend", "serial")
GRID = ("grid", "colorizer", "--models", "own_net", "--heads", "tanh", "--lrs", "1e-3", *ON)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder with a small dataset and `own.py`, in a process that has run no such file."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    (tmp_path / "own.py").write_text(CODE)
    (tmp_path / "newer").mkdir()
    (tmp_path / "newer" / "own.py").write_text(NEWER)
    done("prepare", "synthetic-fruits", "--count", "40", "--size", "32", "--augment", "1")
    with forgetting():
        yield tmp_path


def done(*words: str) -> Finished:
    finished = run(*words)
    assert finished.status == 0, finished.err
    return finished


@pytest.mark.slow
def test_own_code_is_searched_promoted_and_used_only_where_it_is_trusted(here: Path) -> None:
    (here / "search.yaml").write_text(yaml.safe_dump(SEARCH))
    with forgetting():
        found = done("search", "colorizer", "-c", "search.yaml", *ON)
    assert "redness" in found.out
    (launch,) = (here / "ray_results").iterdir()
    assert (launch / "code" / "own.py").read_text() == CODE
    (cell, _) = launch.glob("*/cells/*/cell.json")
    assert json.loads(cell.read_text())["metrics"]["val_redness"] > 0
    best = yaml.safe_load((launch / "search" / "best.yaml").read_text())
    assert best["train"]["keep_by"] == "val_redness"
    assert best["import"] == [f"{launch}/code/own.py"]

    # Tables need no code, resuming does.
    table = done("trials", "colorizer", "--dataset", "synthetic-fruits").out
    assert "redness" in table
    said = f"{launch.name} brings code: own.py (sha256 {DIGEST})"
    assert f"{said}; if you trust it, give --import" in refusal("resume", "last")
    newer = UserCode("own.py", NEWER).digest[:12]
    with forgetting():
        refused = refusal("resume", "last", "--import", "newer/own.py")
    assert f"{said}, but --import has another version (sha256 {newer})" in refused
    with forgetting():
        (here / "other.py").write_text(OTHER)
        foreign = refusal("resume", "last", "--trust-code", "--import", "other.py")
        assert "was begun without other.py" in foreign
    with forgetting():
        more = ("search", "colorizer", "--extend", "last", "--num-samples", "1", "--trust-code")
        assert "3 trials: 3 finished" in done(*more).out
    examined = run("doctor", "--dry-run").out
    assert "--import" in examined
    assert "without a folder here" not in examined
    with forgetting():
        assert "no problems" in done("doctor", "--dry-run", "--trust-code").out
    (launch / "code" / "own.py").write_text(NEWER)
    with forgetting():
        assert "code/own.py was changed" in refusal("resume", "last", "--trust-code")

    promote = ("promote", "colorizer", "--dataset", "synthetic-fruits", "--force")
    assert f"brings code: own.py (sha256 {DIGEST})" in refusal_of_model(*promote)
    with forgetting():
        promotion = done(*promote, "--import", "own.py", "--format", "json")
    assert "test_redness" in json.loads(promotion.out)["tables"][0]["columns"]
    (promoted,) = json.loads(promotion.out)["promotions"]
    assert promoted["test_metrics"]["test_redness"] > 0
    cv2.imwrite("picture.png", np.zeros((9, 7, 3), np.uint8))
    colorize = ("colorize", "picture.png", "--mode", "synthetic-fruits")
    assert "synthetic-fruits-colorizer/1 brings code" in refusal(*colorize)
    with forgetting():
        done(*colorize, "--trust-code")
    finetune = ("finetune", "colorizer", "--from", "synthetic-fruits", "--epochs", "1", *ON)
    assert "synthetic-fruits-colorizer/1 brings code" in refusal_of_model(*finetune)
    with forgetting():
        assert "fine-tuned" in run(*finetune, "--trust-code").out
    with forgetting():
        said = run("serve", "--port", "0")
    assert said.status == 2
    assert "synthetic-fruits-colorizer/1 brings code" in said.err

    # What MLflow loads is code by design, and needs nothing else of this project.
    store = f"sqlite:///{here}/mlflow.db"
    client = MlflowClient(store)
    (parent,) = client.search_runs(
        [client.get_experiment_by_name("synthetic-fruits-colorizer-search").experiment_id],
        "tags.mlflow.runName = '" + launch.name + "'",
    )
    assert parent.data.tags["chromatune.code"] == f"own.py (sha256 {DIGEST})"
    assert [file.path for file in client.list_artifacts(parent.info.run_id, "code")] == [
        "code/own.py"
    ]
    for name in ("models", "chromatune"):
        (here / f"{name}.py").write_text("raise SystemExit('these are others')")
    loaded = subprocess.run(
        [sys.executable, "-P", "-W", "ignore", "-c", LOAD, store], cwd=here,
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert loaded.stdout == "(1, 9, 7, 3)\n", loaded.stderr


def refusal_of_model(*words: str) -> str:
    """As `refusal`, of a command that says first which dataset it uses."""
    refused = run(*words)
    assert (refused.status, refused.out) == (2, ""), refused
    *said, line = refused.err.splitlines()
    assert len(said) == 1
    return line


@pytest.mark.parametrize(
    ("source", "options", "complaint"),
    [
        (
            CODE.replace("nn.Conv2d(width, 2, 1)", "nn.Linear(9, 2)"),
            (),
            "fails: RuntimeError: mat1",
        ),
        (
            CODE.replace("width, 2, 1)", "width, 3, 1)"),
            (),
            "makes (2, 3, 32, 32) of (2, 1",
        ),
        (CODE.replace(".mean()\n\n\n@register_m", ".maen()\n\n\n@register_m"), (), None),
        (
            CODE.replace("return predicted[..., 0].mean()", "return 'red'"),
            (),
            "'redness' must be a finite number, but is 'red'",
        ),
        (
            CODE.replace("return predicted[..., 0].mean()", "return predicted[0, ..., 0]"),
            (),
            "must be a finite number, but is of shape (32, 32)",
        ),
        (CODE.replace("[..., 0].mean()", "[..., 0].maen()"), (), "own.py:20: AttributeError"),
        (
            CODE.replace("predicted, true)", "predicted)"),
            (),
            "own.py:17: ChromatuneError: a",
        ),
        (CODE.replace('"max"', '"best"'), (), "the mode of a metric is min or max, not 'best'"),
        (
            CODE.replace("def redness", "def psnr"),
            (),
            "a metric named 'psnr' is already",
        ),
        (CODE.replace("output, target, L)", "output)"), (), "a loss takes output and target"),
        (CODE, ("--import", "newer/own.py"), "two different files are named own.py"),
        (CODE, ("--models", "own_met"), "did you mean 'own_net'"),
        (CODE, ("--import", "no_such_module"), "neither a file nor a module 'no_such_module'"),
    ],
)
def test_a_mistake_is_one_line(
    source: str, options: tuple[str, ...], complaint: str | None, here: Path
) -> None:
    (here / "own.py").write_text(source)
    if complaint is not None:
        said = run(*GRID, "--epochs", "1", "--import", "own.py", *options)
        assert (said.status, said.out) == (2, "")
        assert complaint in said.err.splitlines()[-1]
        assert len(said.err.splitlines()) <= 2
        assert not (here / "ray_results").exists() or not list((here / "ray_results").iterdir())
        return
    # Only a training meets the loss: its trial fails, with the place.
    loss = ("--set", "train.loss=light_mse", "--set", "resources.max_failures=0")
    failed = run("train", "--model", "own_net", "--lr", "1e-3", "--epochs", "1", *ON,
                 "--import", "own.py", *loss)  # fmt: skip
    assert failed.status == 1
    assert "own.py:14: AttributeError: 'Tensor' object has no attribute 'maen'" in failed.err
    assert "retries failed trials; a change of own.py takes a new launch" in failed.err


def test_what_a_metric_prints_is_no_result(here: Path) -> None:
    (here / "own.py").write_text(CODE.replace("    assert", "    print('rated')\n    assert"))
    said = done("train", "--model", "own_net", "--lr", "1e-3", "--epochs", "1", *ON,
                "--import", "own.py", "--format", "json")  # fmt: skip
    assert json.loads(said.out)["tables"]
    assert "rated" in said.err.splitlines()

    # Its test metrics are known now: it needs no measuring, but is opened all the same.
    with forgetting():
        promote = ("promote", "colorizer", "--dataset", "synthetic-fruits", "--force")
        assert "brings code: own.py" in refusal_of_model(*promote)


@pytest.mark.slow
def test_the_file_travels_to_the_workers_of_ray(here: Path) -> None:
    grid = (*GRID[:-2], "--epochs", "1", "--format", "json", "--import", "own.py")
    (cell,) = done(*grid).cells
    assert cell["outcome"] == "finished"
    (launch,) = (here / "ray_results").iterdir()
    (record,) = launch.glob("*/cells/*/cell.json")
    assert json.loads(record.read_text())["metrics"]["val_redness"] > 0


@pytest.mark.slow
def test_a_search_is_extended_with_its_own_sampler(here: Path) -> None:
    (here / "draws.py").write_text(DRAWS)
    space: dict[str, object] = {"model": "resnet", "head": "tanh", "epochs": 1}
    space["lr"] = {"type": "float", "low": 2e-3, "high": 1.0}
    (here / "search.yaml").write_text(yaml.safe_dump({"search": {"space": space}}))
    words = ("--import", "draws.py", "--sampler", "draws:Lowest", "--num-samples", "1")
    with forgetting():
        done("search", "regression", "-c", "search.yaml", *words, *ON)
    more = ("search", "regression", "--extend", "last", "--num-samples", "1")
    assert "brings code: draws.py" in refusal(*more)
    with forgetting():
        done(*more, "--import", "draws.py")
    (launch,) = (here / "ray_results").iterdir()
    trainings = [json.loads(path.read_text()) for path in launch.glob("*/training.json")]
    assert [each["params"]["lr"] for each in trainings] == [2e-3, 2e-3]
    shown = done("trials", "regression", "--launch", "last", "--format", "csv").out
    rows = {row["trial"]: row for row in csv.DictReader(io.StringIO(shown))}
    cells = [json.loads(path.read_text()) for path in launch.glob("*/cells/*/cell.json")]
    assert sorted(rows) == sorted(cell["training_id"] for cell in cells)
    for cell in cells:
        row = rows[cell["training_id"]]
        assert (row["launch"], row["status"], row["lr"]) == (launch.name, "done", "0.002")
        assert float(row["val_mse"]) == cell["metrics"]["val_mse"]
        assert float(row["seconds"]) == cell["seconds"]
