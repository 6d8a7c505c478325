"""Stores made up in memory: what a report is made of, without MLflow."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch

from data_prep import PrepareSettings, prepare
from models import create_model
from tuning.display.published import TABLE_I, TABLE_III
from tuning.inference.samples import write_showcase
from tuning.report import Options, Report, build_report
from tuning.tracking.records import Store, StoredCell, StoredLaunch, StoredSpeedup

T0 = 1_700_000_000_000
DIGESTS = {"faces": "f" * 64, "ncd": "c" * 64}
BASELINES = {"regression": {"val_mse": 1.65e-4}, "colorizer": {"val_psnr": 31.8}}


@dataclasses.dataclass
class FakeArchive:
    """Histories by (run, metric) and files by (run, path)."""

    histories: dict[tuple[str, str], list[tuple[int, float]]] = dataclasses.field(
        default_factory=dict
    )
    files: dict[tuple[str, str], bytes] = dataclasses.field(default_factory=dict)

    def history(self, run_id: str, metric: str) -> list[tuple[int, float]]:
        return self.histories.get((run_id, metric), [])

    def file(self, run_id: str, path: str) -> bytes | None:
        return self.files.get((run_id, path))

    def names(self, run_id: str, folder: str) -> list[str]:
        return sorted(path for run, path in self.files if run == run_id and path.startswith(folder))


def make_cell(
    model: str = "cnn2",
    head: str = "relu",
    lr: float = 1e-3,
    epochs: int = 500,
    *,
    seed: int = 0,
    outcome: str = "finished",
    published: int | None = None,
    parent: str | None = None,
    params: Mapping[str, str] | None = None,
    suffix: str = "",
    **metrics: float,
) -> StoredCell:
    """A cell; `make_launch` says which launch, task and data it is of."""
    cell_id = f"{model}-{head}-lr{lr:g}{suffix}-e{epochs}"
    return StoredCell(
        run_id=f"run-{cell_id}-{seed}",
        experiment_id="7",
        name=cell_id,
        cell_id=cell_id,
        launch_id="",
        training_id=cell_id.rpartition("-e")[0],
        kind="",
        task="",
        dataset="",
        dataset_digest="",
        outcome=outcome,
        started=T0,
        params={
            "model": model,
            "head": head,
            "lr": str(lr),
            "epochs": str(epochs),
            "seed": str(seed),
            "batch_size": "100",
            **(params or {}),
        },
        metrics=metrics,
        published_epochs=published,
        parent_model=parent,
        device="cpu",
    )


def make_launch(
    cells: Iterable[StoredCell] = (),
    *,
    kind: str = "grid",
    task: str = "regression",
    dataset: str = "faces",
    digest: str | None = None,
    name: str = "",
    age: int = 0,
    source: str = "folder",
    planned: int = 0,
    document: Mapping[str, Any] | None = None,
) -> StoredLaunch:
    """A launch `age` steps younger than the first."""
    launch_id = name or f"{kind}-{task}-{dataset}-{age}"
    digest = digest or DIGESTS.get(dataset, "d" * 64)
    started = T0 + age * 60_000
    own = tuple(
        dataclasses.replace(
            cell,
            run_id=f"{cell.run_id}-{launch_id}",
            launch_id=launch_id,
            kind=kind,
            task=task,
            dataset=dataset,
            dataset_digest=digest,
            started=started,
        )
        for cell in cells
    )
    trainings = [{"cells": [{}] * planned}] if planned else []
    whole = {
        "config": {"training": {"batch_size": 100, "seed": 0}, "grid": {"epoch_scale": None}},
        "dataset_manifest": {
            "source": {"kind": source, "location": "/home/someone/pictures"},
            "settings": {"seed": 0, "size": 128, "augment": 10, "split": "random"},
            "counts": {"test": 75, "train": 600, "val": 75},
        },
        "baseline": BASELINES[task],
        "command": f"chromatune {kind} {task} --data-root /home/someone/data",
        "git_commit": "a" * 40,
        "versions": {"torch": "2.13.0"},
        "hardware": {"cores": "2"},
        "trainings": trainings,
        **(document or {}),
    }
    return StoredLaunch(
        launch_id,
        kind,
        task,
        dataset,
        digest,
        started,
        "FINISHED",
        f"parent-{launch_id}",
        "7",
        whole,
        own,
    )


def make_store(*launches: StoredLaunch, **fields: Any) -> Store:
    return Store("sqlite:///mlflow.db", launches, ui="http://ui", **fields)


def whole_grid(task: str, value: Callable[[float], float], **options: Any) -> StoredLaunch:
    """A finished grid of the original report, each cell's figure `value` of the published one."""
    metric = "val_mse" if task == "regression" else "val_psnr"
    table = TABLE_I if task == "regression" else TABLE_III
    cells = [
        make_cell(model, head, lr, epochs, **{metric: value(rows[row][column])})
        for (model, head), rows in table.items()
        for row, epochs in enumerate((100, 300, 500))
        for column, lr in enumerate((1e-3, 1e-4, 1e-5))
    ]
    return make_launch(cells, task=task, planned=27, **options)


@pytest.fixture
def archive() -> FakeArchive:
    return FakeArchive()


@pytest.fixture(name="make_cell")
def make_cell_fixture() -> Callable[..., StoredCell]:
    return make_cell


@pytest.fixture(name="make_launch")
def make_launch_fixture() -> Callable[..., StoredLaunch]:
    return make_launch


@pytest.fixture(name="make_store")
def make_store_fixture() -> Callable[..., Store]:
    return make_store


@pytest.fixture(name="whole_grid")
def whole_grid_fixture() -> Callable[..., StoredLaunch]:
    return whole_grid


@pytest.fixture(scope="session")
def make_whole_report(tmp_path_factory: pytest.TempPathFactory) -> Callable[[], Report]:
    """A report with something in every place: both grids, every figure, tiles, a search."""

    def make() -> Report:
        archive = FakeArchive()
        grids = [
            whole_grid("regression", lambda value: value * (2 if value > 1.2e-4 else 0.5)),
            whole_grid("colorizer", lambda value: value - 34.5 + 31.0),
        ]
        models = {
            "regression": [("fc", "relu"), ("cnn2", "relu"), ("cnn2", "tanh")],
            "colorizer": [("autoencoder", "sigmoid"), ("autoencoder", "tanh")],
        }
        launches = [
            *grids,
            *(
                _measured_launch(task, dataset, kind, models[task])
                for dataset, kind in (("faces", "finals"), ("ncd", "finetune"))
                for task in models
            ),
        ]
        shown = _showcases(tmp_path_factory.mktemp("showcases"))
        for launch in launches[2:]:
            for cell in launch.cells:
                archive.histories[cell.run_id, "train_loss"] = [(n, 0.1 / n) for n in range(1, 40)]
                archive.histories[cell.run_id, "val_mse"] = [(n, 0.2 / n) for n in (1, 20, 39)]
                for name, content in shown[launch.task].items():
                    archive.files[cell.run_id, f"test/{name}"] = content
        curve = [1 / epoch for epoch in range(1, 500)]
        speedups = (
            StoredSpeedup(
                "r", "7", 0, "faces", {"model": "cnn2", "epochs": "30"}, 600, 50, "c", "g"
            ),
        )
        store = make_store(*launches, speedups=speedups)
        return build_report(store, archive, Options(published_curves={1: curve, 4: curve}))

    return make


def _measured_launch(
    task: str, dataset: str, kind: str, models: Iterable[tuple[str, str]]
) -> StoredLaunch:
    figures = {"val_mse": 1e-4, "val_psnr": 35.0}
    figures |= {f"test_{name}": 1.23e-4 for name in ("mse", "mse_a", "mse_b")}
    figures |= {f"test_{name}": 34.56 for name in ("psnr", "psnr_a", "psnr_b")}
    figures |= {f"test_ssim_{name}_as_reported": 0.8 for name in "ab"}
    parent = f"models:/faces-{task}/1" if kind == "finetune" else None
    cells = [make_cell(model, head, parent=parent, **figures) for model, head in models]
    document = {"parent_model": parent}
    return make_launch(cells, kind=kind, task=task, dataset=dataset, document=document)


def _showcases(folder: Path) -> dict[str, dict[str, bytes]]:
    settings = PrepareSettings(dataset="synthetic-fruits", count=120, size=64, augment=1)
    dataset = prepare(settings, folder).dataset
    found = {}
    for task, name in (("regression", "cnn2"), ("colorizer", "autoencoder")):
        torch.manual_seed(0)
        (folder / task).mkdir()
        write_showcase(create_model(name, head="tanh", image_size=64), dataset, folder / task)
        found[task] = {path.name: path.read_bytes() for path in (folder / task).iterdir()}
    return found
