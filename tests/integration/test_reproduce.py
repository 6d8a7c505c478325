"""`chromatune reproduce`: killed in the middle, resumed, and run a second time."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mlflow.entities import Run
from numpy.typing import NDArray

from data_prep import PreparedDataset, PrepareSettings, dataset_folder, open_dataset
from tuning.config.schema import configs_folder, read_yaml
from tuning.display.published import published_results
from tuning.tracking.registry.catalog import Measured

Floats = NDArray[np.float64]
# On a busy machine one job of a dozen trials takes minutes.
PATIENCE_S = 480
pytestmark = pytest.mark.timeout(3 * PATIENCE_S)
SERIAL = ("--backend", "serial")
TASKS = ("regression", "colorizer")
CHAMPIONS = [f"synthetic-{kind}-{task}" for kind in ("faces", "fruits") for task in TASKS]
SIZE, COUNT = 64, 80
# Predictions of a served model for the test set, in a process without this project.
PREDICT = """
import sys, mlflow, numpy
store, model, planes, answer = sys.argv[1:]
mlflow.set_tracking_uri(store)
mlflow.set_registry_uri(store)
model = mlflow.pyfunc.load_model(model)
how = {"params": {"output": "lab"}} if "colorizer" in sys.argv[2] else {}
numpy.save(answer, model.predict(numpy.load(planes), **how))
assert "tuning" not in sys.modules
"""


@dataclasses.dataclass(frozen=True)
class Job:
    """The small job, killed after its first grid, then done, then done again."""

    place: Any
    first_grid: Path
    before_the_kill: dict[str, Any]
    finished: Any
    first: dict[str, Any]
    again: Any
    second: dict[str, Any]

    def runs(self) -> list[Run]:
        return _runs(self.place)

    def run(self, run_id: str) -> Run:
        return self.place.client().get_run(run_id)

    def cells(self, kind: str, task: str) -> dict[str, Run]:
        """The runs of the cells of one launch, by cell id."""
        tags = {"chromatune.kind": kind, "chromatune.task": task}
        return {
            run.data.tags["chromatune.cell_id"]: run
            for run in self.runs()
            if "chromatune.cell_id" in run.data.tags and tags.items() <= run.data.tags.items()
        }

    def pictures(self, name: str) -> PreparedDataset:
        settings = PrepareSettings(dataset=name, size=SIZE, count=COUNT, augment=1)
        return open_dataset(dataset_folder(settings, self.place.folder / "data"))


def small_job(**changes: Any) -> dict[str, Any]:
    """The quick preset, shrunk to seconds of training."""
    config = read_yaml(configs_folder() / "reproduce_quick.yaml")
    config["data"] |= {"size": SIZE, "count": COUNT}
    config["target"] |= {"size": SIZE, "count": COUNT}
    axes = {"lrs": [1e-3], "epochs": [1, 2], "epoch_scale": None}
    config["grids"] = {
        "regression": {"models": ["cnn1", "cnn2"], **axes},
        "colorizer": {"heads": ["tanh"], **axes},
    }
    config["finetune"]["epochs"] = 2
    config["finetune_published"] = True
    return config | changes


@pytest.fixture(scope="module")
def job(make_place: Callable[[], Any]) -> Job:
    place = make_place()
    (place.folder / "tiny.yaml").write_text(json.dumps(small_job()))
    words = ("reproduce", "-c", "tiny.yaml")

    driver = place.start(*words)  # on Ray
    first_grid = _wait_for_first_grid(place, driver)
    driver.kill()
    before = _files(first_grid)

    finished = _do(place, *words, *SERIAL)
    assert finished.status == 0, finished.err
    first = _everything(place)

    again = _do(place, *words)
    second = _everything(place)
    return Job(place, first_grid, before, finished, first, again, second)


@pytest.mark.slow
def test_what_was_trained_before_the_kill_is_kept_and_nothing_is_double(job: Job) -> None:
    assert _files(job.first_grid) == job.before_the_kill
    kinds = Counter(launch.name.rsplit("-", 2)[0] for launch in job.place.launches())
    for task in TASKS:
        assert kinds.pop(f"grid-{task}-synthetic-faces") == 1
        assert kinds.pop(f"finals-{task}-synthetic-faces") == 1
        # The champion, and two published models, of which it may be one.
        assert kinds.pop(f"finetune-{task}-synthetic-fruits") in (2, 3)
    assert not kinds
    tags = [run.data.tags for run in job.runs()]
    keys = [(each["chromatune.launch_id"], each.get("chromatune.cell_id")) for each in tags]
    assert len(set(keys)) == len(keys)
    cells = [
        path.parent.name for path in job.place.folder.glob("ray_results/*/*/cells/*/cell.json")
    ]
    assert sorted(key for _, key in keys if key) == sorted(cells)
    assert {run.info.status for run in job.runs()} == {"FINISHED"}
    for run in job.runs():
        if "chromatune.cell_id" in run.data.tags:
            epochs = [step for step, _ in job.place.metric(run, "train_loss")]
            assert epochs == list(range(1, int(run.data.params["epochs"]) + 1))


@pytest.mark.slow
@pytest.mark.parametrize("task", TASKS)
def test_the_published_models_are_fine_tuned(job: Job, task: str) -> None:
    trained = [run.data for run in job.cells("finetune", task).values()]
    tuned = [data for data in trained if "chromatune.parent_model" in data.tags]
    assert len(trained) == len(tuned) + 1  # the champion from scratch
    for row in published_results("ncd", task):
        network = (row.model, row.head)
        own = [data for data in tuned if (data.params["model"], data.params["head"]) == network]
        assert len(own) == 1


@pytest.mark.slow
@pytest.mark.parametrize("name", CHAMPIONS)
def test_every_dataset_and_task_has_a_champion_that_says_where_it_came_from(
    job: Job, name: str
) -> None:
    dataset_name, _, task = name.rpartition("-")
    client = job.place.client()
    version = client.get_model_version_by_alias(name, "champion")
    assert [one.version for one in client.search_model_versions(f"name = '{name}'")] == [1]
    run = job.run(version.run_id)
    measured = Measured.of(version.tags)
    assert measured.dataset_digest == job.pictures(dataset_name).digest
    assert version.tags["chromatune.cell_id"] == run.data.tags["chromatune.cell_id"]
    assert version.tags["chromatune.launch_id"] == run.data.tags["chromatune.launch_id"]
    assert "becomes the first champion" in measured.decision
    assert measured.decision in version.description
    (output,) = run.outputs.model_outputs
    assert client.get_logged_model(output.model_id).status == "READY"

    parent = version.tags.get("chromatune.parent_model")
    assert parent == run.data.tags.get("chromatune.parent_model")
    if dataset_name == "synthetic-faces":
        best = _best_by_val(job, task)
        assert (parent, version.run_id) == (None, best.info.run_id)
    else:
        assert parent == f"models:/synthetic-faces-{task}/1"
        runs = job.cells("finetune", task)
        scratch = next(run for cell, run in runs.items() if "-scratch" in cell)
        assert "chromatune.parent_model" not in scratch.data.tags


@pytest.mark.slow
def test_the_test_set_was_measured_once_on_champions_finals_and_fine_tuned(job: Job) -> None:
    measured = {
        job.place.client().get_model_version_by_alias(name, "champion").run_id for name in CHAMPIONS
    }
    for kind in ("finals", "finetune"):
        for task in TASKS:
            measured |= {run.info.run_id for run in job.cells(kind, task).values()}
    for run in job.runs():
        logged = [name for name in run.data.metrics if name.startswith("test_")]
        assert bool(logged) == (run.info.run_id in measured), run.info.run_name
        for name in logged:
            assert len(job.place.metric(run, name)) == 1


@pytest.mark.slow
@pytest.mark.parametrize("task", TASKS)
def test_the_served_champion_scores_what_the_gate_measured(
    job: Job, task: str, tmp_path: Path
) -> None:
    pictures = job.pictures("synthetic-fruits")
    planes = pictures.planes("test")
    np.save(tmp_path / "L.npy", planes.L)
    answer = tmp_path / "answer.npy"
    name = f"synthetic-fruits-{task}"
    model = f"models:/{name}@champion"
    words = [job.place.store, model, str(tmp_path / "L.npy"), str(answer)]
    # Isolated (-I): only what is stored with the model and installed can be imported.
    subprocess.run([sys.executable, "-I", "-c", PREDICT, *words], cwd=tmp_path, check=True)
    predicted = np.load(answer)
    true = np.stack([planes.a, planes.b], axis=-1).astype(np.float64)  # (N, H, W, 2), 0 to 255

    version = job.place.client().get_model_version_by_alias(name, "champion")
    measured = Measured.of(version.tags)
    tuned, constant = measured.test_metrics, measured.constant_metrics
    assert tuned == _test_metrics(job.run(version.run_id))
    train = pictures.planes("train")
    mean_ab = np.array([train.a.mean(), train.b.mean()])
    if task == "regression":
        true = true.mean(axis=(1, 2))
        expected = _regression(predicted + 128.0, true)
        assert {key: tuned[key] for key in expected} == pytest.approx(expected, rel=1e-5)
        expected = _regression(np.tile(mean_ab, (len(true), 1)), true)
        assert {key: constant[key] for key in expected} == pytest.approx(expected, rel=1e-4)
        return
    # Pictures are answered in 8 bit: rounding adds up to 1/4 (on average 1/12) squared steps.
    for channel, name in enumerate("ab"):
        mse = float(np.mean((predicted[..., 1 + channel] - true[..., channel]) ** 2)) / 255**2
        assert tuned[f"test_mse_{name}"] == pytest.approx(mse, rel=0.01, abs=0.25 / 255**2)
        assert tuned[f"test_psnr_{name}"] == pytest.approx(-10 * np.log10(mse), abs=0.05)
        mse = float(np.mean((mean_ab[channel] - true[..., channel]) ** 2)) / 255**2
        assert constant[f"test_mse_{name}"] == pytest.approx(mse, rel=1e-4)
        assert constant[f"test_psnr_{name}"] == pytest.approx(-10 * np.log10(mse), abs=1e-3)


@pytest.mark.slow
def test_the_same_command_again_trains_nothing_and_changes_nothing(job: Job) -> None:
    assert job.again.status == 0, job.again.err
    assert "trials" not in job.again.err  # no launch was begun, so no Ray was started
    assert "is already champion (" in job.again.out
    assert job.second == job.first


def test_missing_folders_of_the_real_datasets_are_reported(
    tmp_path: Path, run: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for missing in ("gt_faces", "ncd"):
        refused = run("reproduce", "--data", str(tmp_path))
        assert refused.status == 2
        (line,) = refused.err.splitlines()
        assert f"--data {tmp_path}: there is no folder {missing}/ in it" in line
        assert list(tmp_path.glob("[!g]*")) == []
        (tmp_path / missing).mkdir()


@pytest.mark.slow
@pytest.mark.real_data
def test_the_job_on_real_pictures_makes_champions_on_faces_and_ncd(
    real_data: Path, place: Any
) -> None:
    one = {"lrs": [1e-3], "epochs": [1], "epoch_scale": None}
    grids = {"regression": {"models": ["cnn1"], **one}, "colorizer": {"heads": ["tanh"], **one}}
    sections = {"data": {"augment": 1, "size": SIZE}, "target": {"augment": 1, "size": SIZE}}
    smaller = {"finals": None, "finetune": {"epochs": 1}, "finetune_published": False}
    config = small_job(**sections, grids=grids, **smaller)
    (place.folder / "real.yaml").write_text(json.dumps(config))
    words = ("-c", "real.yaml", "--data", str(real_data), *SERIAL)
    finished = _do(place, "reproduce", *words)
    assert finished.status == 0, finished.err
    client = place.client()
    for name in ("faces-regression", "faces-colorizer", "ncd-regression", "ncd-colorizer"):
        version = client.get_model_version_by_alias(name, "champion")
        assert Measured.of(version.tags).test_metrics["test_mse"] > 0
    for task in TASKS:
        version = client.get_model_version_by_alias(f"ncd-{task}", "champion")
        assert version.tags["chromatune.parent_model"] == f"models:/faces-{task}/1"


def _do(place: Any, *words: str) -> Any:
    driver = place.start(*words)
    driver.process.wait(PATIENCE_S)
    return driver.wait()


def _regression(predicted: Floats, true: Floats) -> dict[str, float]:
    """The results' columns, from means of a and b in 0 to 255."""
    mse_a, mse_b = ((predicted - true) ** 2).mean(axis=0)
    return {
        "test_mse": (mse_a + mse_b) / 2 / 255**2,
        "test_mse_a": mse_a / 255**2,
        "test_mse_b": mse_b / 255**2,
        "test_rmse_lab_a": mse_a**0.5,
        "test_rmse_lab_b": mse_b**0.5,
    }


def _best_by_val(job: Job, task: str) -> Run:
    def is_candidate(run: Run) -> bool:
        tags = run.data.tags
        return (
            tags["chromatune.task"] == task
            and tags["chromatune.dataset"] == "synthetic-faces"
            and "chromatune.cell_id" in tags
        )

    candidates = sorted(filter(is_candidate, job.runs()), key=lambda run: run.info.start_time)
    if task == "regression":
        return min(candidates, key=lambda run: run.data.metrics["val_mse"])
    return max(candidates, key=lambda run: run.data.metrics["val_psnr"])


def _test_metrics(run: Run) -> dict[str, float]:
    return {key: value for key, value in run.data.metrics.items() if key.startswith("test_")}


def _runs(place: Any) -> list[Run]:
    client = place.client()
    return list(client.search_runs([one.experiment_id for one in client.search_experiments()]))


def _everything(place: Any) -> dict[str, Any]:
    """All that the job has left in its launches, in MLflow and in the registry."""
    client = place.client()
    return {
        "launches": [launch.name for launch in place.launches()],
        "cells": {
            str(path): path.stat().st_mtime_ns
            for path in place.folder.glob("ray_results/*/*/cells/*/*")
        },
        "runs": {run.info.run_id: run.to_dictionary() for run in _runs(place)},
        "versions": sorted(
            (one.name, one.version, one.run_id, sorted(one.aliases))
            for one in client.search_model_versions()
        ),
        "data": sorted(path.name for path in (place.folder / "data").iterdir()),
    }


def _files(folder: Path) -> dict[str, Any]:
    """What a launch's cells hold, and when it was written."""
    return {
        str(path): (path.stat().st_mtime_ns, path.read_bytes())
        for path in sorted(folder.glob("*/cells/*/cell.json"))
    }


def _wait_for_first_grid(place: Any, driver: Any) -> Path:
    """Return as soon as the last of the first grid's four cells is written."""
    place.wait_for(driver, lambda: len(place.cells()) == 4, "the end of the first grid")
    return Path(place.launch())
