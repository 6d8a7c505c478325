"""Stores made up in memory: what a report is made of, without MLflow."""

from __future__ import annotations

import dataclasses
import io
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from PIL import Image

from data_prep import PreparedDataset
from models import create_model
from tuning.display.published import EPOCHS, GRIDS, LRS
from tuning.inference.samples import write_showcase
from tuning.tracking.stored_runs import Store, StoredCell, StoredLaunch
from tuning.training.tasks import CRITERIA

T0 = 1_700_000_000_000
DIGESTS = {"faces": "f" * 64, "ncd": "c" * 64}
BASELINES = {"regression": {"val_mse": 1.65e-4}, "colorizer": {"val_psnr": 31.8}}


class FakeArchive:
    """Histories by (run, metric) and files by (run, path)."""

    def __init__(self) -> None:
        self.histories: dict[tuple[str, str], list[tuple[int, float]]] = {}
        self.files: dict[tuple[str, str], bytes] = {}

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
    settings = {"model": model, "head": head, "lr": lr, "epochs": epochs, "seed": seed}
    return StoredCell(
        run_id=f"run-{cell_id}-{seed}",
        experiment_id="7",
        name=cell_id,
        cell_id=cell_id,
        training_id=cell_id.rpartition("-e")[0],
        **dict.fromkeys(("launch_id", "kind", "task", "dataset", "dataset_digest"), ""),
        outcome=outcome,
        started=T0,
        params={**{name: str(value) for name, value in settings.items()}, **(params or {})},
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
        *(launch_id, kind, task, dataset, digest, started, "FINISHED"),
        *(f"parent-{launch_id}", "7", whole, own),
    )


def make_store(*launches: StoredLaunch, **fields: Any) -> Store:
    return Store("sqlite:///mlflow.db", launches, ui="http://ui", **fields)


def whole_grid(task: str, value: Callable[[float], float], **options: Any) -> StoredLaunch:
    """A finished grid of the original paper, each cell's value `value` of the published one."""
    metric = f"val_{CRITERIA[task].name}"
    cells = [
        make_cell(model, head, lr, epochs, **{metric: value(rows[row][column])})
        for (model, head), rows in GRIDS[task].items()
        for row, epochs in enumerate(EPOCHS)
        for column, lr in enumerate(LRS)
    ]
    return make_launch(cells, task=task, planned=27, **options)


def picture_file(kind: str) -> bytes:
    """A small picture file."""
    content = io.BytesIO()
    Image.effect_noise((40, 30), 60).convert("RGB").save(content, kind)
    return content.getvalue()


def showcase_files(model: str, dataset: PreparedDataset, folder: Path) -> dict[str, bytes]:
    """What a measured model's run holds under `test/`."""
    torch.manual_seed(0)
    size = dataset.manifest.settings.size
    write_showcase(create_model(model, head="tanh", image_size=size), dataset, folder)
    return {path.name: path.read_bytes() for path in folder.iterdir()}
