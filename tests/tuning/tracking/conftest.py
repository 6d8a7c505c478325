"""Launch folders without training, and MLflow stores without waiting for migrations."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from mlflow import MlflowClient
from PIL import Image

# First of all MLflow's modules: it warns while pyfunc is imported, and this import catches that.
import tuning.tracking.logged_model  # noqa: F401
from models import create_model, save_model
from tests.processes import kill
from tuning.cli import main
from tuning.launch.storage import LaunchStorage
from tuning.tracking.store import prepare_store

T0 = 1_700_000_000_000
DIGEST = "d" * 64


def paint(model: torch.nn.Module, colour: tuple[float, float]) -> None:
    """Make a network predict (a, b) in [0, 1] everywhere."""
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
        list(model.parameters())[-1].copy_(torch.tensor(colour))


class LaunchWriter:
    """Writes the files of a launch as its trainings would, with made-up numbers and real models."""

    def __init__(
        self,
        root: Path,
        task: str,
        *,
        launch_id: str,
        models: Sequence[str],
        lrs: Sequence[float] = (1e-3,),
        epochs: Sequence[int] = (2, 4),
        dataset: str = "faces",
        digest: str = DIGEST,
        **document: Any,
    ) -> None:
        self.task = task
        self.folder = root / launch_id
        self.storage = LaunchStorage(self.folder)
        self.epochs = sorted(epochs)
        initial = "initial" if document.get("parent_model") else None
        self.trainings = [
            self._training(f"{model}-relu-lr{lr:g}", model, lr, initial_weights=initial)
            for model in models
            for lr in lrs
        ]
        self.document = {
            "format": 1,
            "launch_id": launch_id,
            "kind": "grid",
            "task": task,
            "dataset": dataset,
            "dataset_digest": digest,
            "dataset_manifest": {
                "counts": {"train": 6000, "val": 75},
                "source": {"kind": "folder", "location": "/pictures/faces"},
            },
            "experiment": f"{dataset}-{task}-grid",
            "command": "chromatune grid",
            "created": T0,
            "config": {"grid": {"models": list(models), "lrs": list(lrs)}},
            "tracking_uri": "sqlite:///mlflow.db",
            "git_commit": "c" * 40,
            "versions": {"torch": "2.13.0"},
            "hardware": {"cores": "2"},
            "tags": {},
            "baseline": {"val_mse": 1.7e-4, "val_psnr": 27.0, "val_ssim": 0.7},
            "parent_model": None,
            "trainings": self.trainings,
            **document,
        }
        self.storage.write_json("launch.json", self.document)

    def _training(self, name: str, model: str, lr: float, **more: Any) -> dict[str, Any]:
        return {
            "training_id": name,
            "params": {
                "model": model,
                "head": "relu",
                "lr": lr,
                "batch_size": 100,
                "weight_decay": 1e-5,
                "seed": 0,
                "eval_every": None,
                "image_size": 128,
                "model_kwargs": {},
            },
            "milestones": list(self.epochs),
            "initial_weights": None,
            "cells": [{"cell_id": f"{name}-e{epoch}", "epochs": epoch} for epoch in self.epochs],
            **more,
        }

    def add_trial(self, name: str, model: str, lr: float) -> str:
        """Write down a training that a search has come to; return its id."""
        training = self._training(name, model, lr)
        self.trainings.append(training)
        self.storage.write_json(f"{name}/training.json", {**training, "trial": 0})
        return name

    def training_ids(self) -> list[str]:
        return [training["training_id"] for training in self.trainings]

    def record(self, epoch: int, *, score: float = 0.0, shift_ms: int = 0) -> dict[str, Any]:
        """One epoch; `score` above 0 makes its validation figures better."""
        record: dict[str, Any] = {
            "epoch": epoch,
            "train_loss": 1.0 / epoch,
            "lr": 1e-3,
            "seconds": 1.0,
            "timestamp": T0 + 1000 * epoch + shift_ms,
        }
        if epoch in self.epochs:
            record |= {"val_mse": 1e-3 / epoch / (1 + score)}
            if self.task == "colorizer":
                record |= {"val_psnr": 20.0 + epoch + score, "val_ssim": 0.8}
        return record

    def finish_cell(
        self,
        training_id: str,
        epochs: int,
        *,
        score: float = 0.0,
        paints: tuple[float, float] | None = None,
        trained: int | None = None,
        kept_epoch: int | None = None,
        outcome: str | None = None,
    ) -> str:
        """Write one finished cell's folder, `cell.json` last; return its id.

        The model is a fresh one, or one that predicts a = paints[0], b = paints[1] everywhere. The
        training ended after `trained` epochs, and kept the state of `kept_epoch`.
        """
        training = next(t for t in self.trainings if t["training_id"] == training_id)
        cell_id = f"{training_id}-e{epochs}"
        folder = self.folder / training_id / "cells" / cell_id
        folder.mkdir(parents=True, exist_ok=True)
        torch.manual_seed(0)
        model = create_model(training["params"]["model"])
        if paints is not None:
            paint(model, paints)
        save_model(model, folder / "model.safetensors")
        if self.task == "colorizer":
            Image.new("RGB", (12, 18), "teal").save(folder / "sheet.png")
        count = trained or epochs
        history = [self.record(epoch, score=score) for epoch in range(1, count + 1)]
        last = history[-1]
        kept = history[(kept_epoch or count) - 1]
        cell = {
            "cell_id": cell_id,
            "training_id": training_id,
            "task": self.task,
            "dataset": self.document["dataset"],
            "dataset_digest": self.document["dataset_digest"],
            "params": {**training["params"], "epochs": epochs},
            "metrics": {key: kept[key] for key in kept if key.startswith(("val_", "train_"))},
            "baseline": {},
            "parameters": 1234,
            "history": history,
            "seconds": float(epochs),
            "started": T0,
            "ended": last["timestamp"],
            "device": "cpu",
            "hostname": "host",
            "kept_epoch": kept["epoch"],
            **({"outcome": outcome} if outcome else {}),
        }
        (folder / "cell.json").write_text(json.dumps(cell))
        return cell_id

    def finish_all(self) -> None:
        for training_id in self.training_ids():
            for epochs in self.epochs:
                self.finish_cell(training_id, epochs)

    def fail(self, training_id: str, epochs: int, message: str) -> None:
        """Write that a training diverged after `epochs` epochs."""
        history = [self.record(epoch) for epoch in range(1, epochs + 1)]
        self.storage.write_json(
            f"{training_id}/failed.json",
            {"outcome": "diverged", "message": message, "history": history},
        )


@pytest.fixture
def make_launch(tmp_path: Path) -> Callable[..., LaunchWriter]:
    """Make a launch folder: `make_launch("regression", models=["cnn1"], lrs=[1e-3])`."""

    def make(task: str = "regression", **options: Any) -> LaunchWriter:
        options.setdefault("launch_id", f"grid-{task}-faces-1")
        options.setdefault("models", ["cnn1"] if task == "regression" else ["autoencoder"])
        return LaunchWriter(tmp_path / "ray_results", task, **options)

    return make


@pytest.fixture(scope="session")
def migrated_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty MLflow database: copying it saves each test the migrations."""
    path = tmp_path_factory.mktemp("template") / "mlflow.db"
    prepare_store(f"sqlite:///{path}")
    return path


@pytest.fixture
def store(tmp_path: Path, migrated_database: Path) -> str:
    """Tracking URI of an empty SQLite store."""
    path = tmp_path / "mlruns" / "mlflow.db"
    path.parent.mkdir()
    shutil.copy(migrated_database, path)
    return f"sqlite:///{path}"


@pytest.fixture
def client(store: str) -> MlflowClient:
    return MlflowClient(store, store)


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Start a module as a program in the temporary folder; nothing of it is left afterwards."""
    started: list[subprocess.Popen[str]] = []

    def begin(*words: str, **options: Any) -> subprocess.Popen[str]:
        environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        process = subprocess.Popen(
            [sys.executable, "-m", *words],
            cwd=tmp_path,
            env=environment | options.pop("env", {}),
            text=True,
            start_new_session=True,
            **options,
        )
        started.append(process)
        return process

    yield begin
    for process in started:
        kill(process)


@pytest.fixture
def run(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> Callable[..., Any]:
    """Run a command in this process: `run("colorize", …)` gives (status, stdout, stderr)."""

    def call(*words: str) -> tuple[int, str, str]:
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(sys, "argv", ["chromatune", *words])
        with pytest.raises(SystemExit) as exit_:
            main()
        captured = capsys.readouterr()
        return int(exit_.value.code or 0), captured.out, captured.err

    return call
