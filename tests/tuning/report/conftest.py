"""An archive for every test, and a whole report."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from data_prep import PrepareSettings, prepare
from tests.tuning.report.stores import (
    FakeArchive,
    make_cell,
    make_launch,
    make_store,
    showcase_files,
    whole_grid,
)
from tuning.report import Report, build_report
from tuning.tracking.records import StoredLaunch, StoredSpeedup


@pytest.fixture
def archive() -> FakeArchive:
    return FakeArchive()


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
        params = {"model": "cnn2", "epochs": "30"}
        speedup = StoredSpeedup("r", "7", 0, "faces", params, 600, 50, "c", "g")
        store = make_store(*launches, speedups=(speedup,))
        return build_report(store, archive, published_curves={1: curve, 4: curve})

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
        (folder / task).mkdir()
        found[task] = showcase_files(name, dataset, folder / task)
    return found
