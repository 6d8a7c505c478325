"""A search's trial, with Ray replaced by a notebook of its calls."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from ray.tune import Checkpoint
from tuning.backend.search_trainable import SearchInputs, run_search_trial
from tuning.backend.searcher import trial_config
from tuning.launch.search_cells import cut_cell

from tuning.backend import search_trainable as trial_module
from tuning.backend import trainable
from tuning.launch.storage import LaunchStorage
from tuning.launch.trainings import Cell, Training
from tuning.search.ledger import HandOut
from tuning.search.objectives import Objective
from tuning.training.checkpoint import TrainState
from tuning.training.config import FitConfig
from tuning.training.data import TaskData

NAME = "0003-cnn1-relu"


class Stopped(SystemExit):
    """What Ray raises inside a report when the scheduler stops the trial."""


class Notebook:
    """Stands for `ray.tune` inside a trial; `stop_at` is the epoch whose report ends it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.reports: list[dict[str, Any]] = []
        self.required_resources = {"CPU": 1.0}
        self.name = NAME
        self.stop_at: int | None = None
        self.named: Path | None = None
        self.Checkpoint = Checkpoint

    def report(self, metrics: dict[str, Any], checkpoint: Checkpoint | None = None) -> None:
        self.reports.append({**metrics, "has_checkpoint": checkpoint is not None})
        if checkpoint is not None:
            for old in self.folder.glob("checkpoint_*"):
                shutil.rmtree(old)
            kept = self.folder / f"checkpoint_{len(self.reports):06}"
            shutil.copytree(checkpoint.path, kept)
        if self.stop_at is not None and metrics.get("epoch") == self.stop_at:
            raise Stopped

    def get_context(self) -> Notebook:
        return self

    def get_trial_resources(self) -> Notebook:
        return self

    def get_trial_name(self) -> str:
        return self.name

    def get_checkpoint(self) -> Checkpoint | None:
        return Checkpoint(str(self.named)) if self.named else None


@pytest.fixture
def ray_tune(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Notebook:
    folder = tmp_path / "launch" / NAME
    folder.mkdir(parents=True)
    notebook = Notebook(folder)
    monkeypatch.setattr(trial_module, "tune", notebook)
    monkeypatch.setattr(trainable, "tune", notebook)
    monkeypatch.setattr(torch, "set_num_threads", lambda _: None)
    return notebook


@pytest.fixture
def inputs(tmp_path: Path, make_data: Callable[..., TaskData]) -> SearchInputs:
    objective = Objective("val_mse", maximize=False)
    return SearchInputs(str(tmp_path / "launch"), make_data("regression"), objective)


def training(epochs: int = 6, lr: float = 3e-3, **options: Any) -> Training:
    fit = FitConfig(
        *("cnn1", "tanh", lr),
        milestones=(epochs,),
        image_size=64,
        batch_size=5,
        keep="best",
        **options,
    )
    return Training(NAME, fit, (Cell(NAME, epochs),))


def run(one: Training, inputs: SearchInputs, checkpoints: tuple[str, ...] = ()) -> None:
    run_search_trial(trial_config(HandOut(one, 3, checkpoints=checkpoints)), inputs)


def cell(inputs: SearchInputs) -> dict[str, Any]:
    path = Path(inputs.launch_uri) / NAME / "cells" / NAME / "cell.json"
    document: dict[str, Any] = json.loads(path.read_text())
    return document


def test_every_report_has_the_best_value_so_far_and_its_state_is_stored(
    ray_tune: Notebook, inputs: SearchInputs
) -> None:
    run(training(), inputs)
    assert [report["epoch"] for report in ray_tune.reports] == [1, 2, 3, 4, 5, 6]
    values = [report["value"] for report in ray_tune.reports]
    for index, report in enumerate(ray_tune.reports):
        assert report["score"] == min(values[: index + 1])
        is_best = report["value"] == report["score"]
        assert report["has_checkpoint"] == (is_best and index < 5)
    assert len({report["score"] for report in ray_tune.reports}) > 1
    done = cell(inputs)
    assert done["outcome"] == "finished"
    assert done["metrics"]["val_mse"] == min(values)
    assert done["kept_epoch"] == 1 + values.index(min(values))
    assert [record["epoch"] for record in done["history"]] == [1, 2, 3, 4, 5, 6]
    assert ray_tune.reports[-1]["records"][-1]["milestone"] == NAME


def test_epochs_that_are_not_validated_are_not_reported(
    ray_tune: Notebook, inputs: SearchInputs
) -> None:
    run(training(epochs=7, eval_every=3), inputs)
    assert [report["epoch"] for report in ray_tune.reports] == [1, 3, 6, 7]
    records = [record["epoch"] for report in ray_tune.reports for record in report["records"]]
    assert records == list(range(1, 8))


def test_a_trial_that_was_stopped_leaves_its_best_state_and_not_its_last(
    ray_tune: Notebook, inputs: SearchInputs
) -> None:
    whole = training()
    run(whole, inputs)
    values = [report["value"] for report in ray_tune.reports]
    shutil.rmtree(Path(inputs.launch_uri) / NAME / "cells")
    ray_tune.reports.clear()
    ray_tune.stop_at = 5
    with pytest.raises(Stopped):
        run(whole, inputs)
    storage = LaunchStorage(inputs.launch_uri)
    records = [record for report in ray_tune.reports for record in report["records"]]
    assert cut_cell(storage, whole, inputs.data, "pruned", history=records)
    cut = cell(inputs)
    assert cut["outcome"] == "pruned"
    assert cut["metrics"]["val_mse"] == min(values[:5])
    assert cut["kept_epoch"] == 1 + values.index(min(values[:5]))
    assert [record["epoch"] for record in cut["history"]] == [1, 2, 3, 4, 5]


def test_a_stopped_cell_gives_way_and_a_pruned_one_stays(
    ray_tune: Notebook, inputs: SearchInputs
) -> None:
    ray_tune.stop_at = 3
    with pytest.raises(Stopped):
        run(training(), inputs)
    storage = LaunchStorage(inputs.launch_uri)
    assert cut_cell(storage, training(), inputs.data, "stopped")
    checkpoint = next(path.name for path in ray_tune.folder.glob("checkpoint_*"))
    ray_tune.stop_at = None
    run(training(), inputs, checkpoints=(f"{NAME}/{checkpoint}",))
    assert cell(inputs)["outcome"] == "finished"
    assert cut_cell(storage, training(), inputs.data, "stopped")
    assert cell(inputs)["outcome"] == "finished"


def test_nothing_can_be_cut_before_the_first_validation(inputs: SearchInputs) -> None:
    assert not cut_cell(LaunchStorage(inputs.launch_uri), training(), inputs.data, "pruned")


def test_a_later_attempt_goes_on_from_the_checkpoint_it_is_given(
    ray_tune: Notebook, inputs: SearchInputs
) -> None:
    run(training(), inputs)
    values = [report["value"] for report in ray_tune.reports]
    shutil.rmtree(Path(inputs.launch_uri) / NAME / "cells")
    ray_tune.reports.clear()
    ray_tune.stop_at = 2
    with pytest.raises(Stopped):
        run(training(), inputs)
    (kept,) = ray_tune.folder.glob("checkpoint_*")
    epoch = TrainState.load(kept, training().fit).epoch
    ray_tune.reports.clear()
    ray_tune.stop_at = None
    missing = f"{NAME}/checkpoint_000099"
    run(training(), inputs, checkpoints=(missing, f"{NAME}/{kept.name}"))
    assert [report["epoch"] for report in ray_tune.reports] == list(range(epoch + 1, 7))
    assert cell(inputs)["metrics"]["val_mse"] == min(values)


def test_a_trial_that_finds_nothing_better_goes_on_from_where_it_was(
    ray_tune: Notebook, inputs: SearchInputs, monkeypatch: pytest.MonkeyPatch
) -> None:
    worsens = training(lr=0.3)  # its first epoch is its best
    run(worsens, inputs)
    expected = cell(inputs)
    assert expected["kept_epoch"] == 1
    shutil.rmtree(Path(inputs.launch_uri) / NAME / "cells")
    ray_tune.reports.clear()
    monkeypatch.setattr(trial_module, "CHECKPOINT_EVERY_S", 0.0)
    monkeypatch.setattr(trial_module, "pause_since", lambda *_: 0.0)
    ray_tune.stop_at = 5
    with pytest.raises(Stopped):
        run(worsens, inputs)
    assert cut_cell(LaunchStorage(inputs.launch_uri), worsens, inputs.data, "stopped")
    assert cell(inputs)["kept_epoch"] == expected["kept_epoch"]
    (kept,) = ray_tune.folder.glob("checkpoint_*")
    ray_tune.reports.clear()
    ray_tune.stop_at = None
    run(worsens, inputs, checkpoints=(f"{NAME}/{kept.name}",))
    assert [report["epoch"] for report in ray_tune.reports] == [6]
    assert cell(inputs)["metrics"] == expected["metrics"]


def test_a_trial_that_took_over_anothers_settings_keeps_its_own_name(
    ray_tune: Notebook, inputs: SearchInputs
) -> None:
    ray_tune.name = "0007-cnn1-tanh"
    run(training(epochs=1), inputs)
    path = Path(inputs.launch_uri) / "0007-cnn1-tanh/cells/0007-cnn1-tanh/cell.json"
    assert json.loads(path.read_text())["training_id"] == "0007-cnn1-tanh"


def test_another_learning_rate_takes_over_a_checkpoint(
    ray_tune: Notebook, inputs: SearchInputs
) -> None:
    ray_tune.stop_at = 2
    with pytest.raises(Stopped):
        run(training(), inputs)
    (ray_tune.named,) = ray_tune.folder.glob("checkpoint_*")
    ray_tune.reports.clear()
    ray_tune.stop_at = None
    run(training(lr=1e-3), inputs)
    assert ray_tune.reports[-1]["epoch"] == 6
    records = [record for report in ray_tune.reports for record in report["records"]]
    assert {record["lr"] for record in records} == {1e-3}
    assert cell(inputs)["params"]["lr"] == 1e-3


def test_a_cut_of_a_perturbed_training_has_the_settings_it_was_trained_with(
    ray_tune: Notebook, inputs: SearchInputs
) -> None:
    ray_tune.stop_at = 2
    with pytest.raises(Stopped):
        run(training(lr=1e-3), inputs)
    assert cut_cell(LaunchStorage(inputs.launch_uri), training(lr=5e-3), inputs.data, "stopped")
    assert cell(inputs)["params"]["lr"] == 1e-3


def test_patience_ends_a_trial_as_finished(ray_tune: Notebook, inputs: SearchInputs) -> None:
    run(training(epochs=40, lr=3e-2, patience=1), inputs)
    assert cell(inputs)["outcome"] == "finished"
    assert len(cell(inputs)["history"]) < 40
    assert "milestone" in ray_tune.reports[-1]["records"][-1]


def test_a_divergence_is_an_outcome_and_no_crash(ray_tune: Notebook, inputs: SearchInputs) -> None:
    run(training(lr=1e30), inputs)
    assert ray_tune.reports[-1]["outcome"] == "diverged"
    failure = LaunchStorage(inputs.launch_uri).read_json(f"{NAME}/failed.json")
    assert failure["outcome"] == "diverged"
    assert not (Path(inputs.launch_uri) / NAME / "cells").exists()


def test_a_divergence_soon_after_a_crash_has_all_its_history(
    ray_tune: Notebook, inputs: SearchInputs, monkeypatch: pytest.MonkeyPatch
) -> None:
    sparse = training(epochs=12, eval_every=4)
    ray_tune.stop_at = 4
    with pytest.raises(Stopped):
        run(sparse, inputs)
    (kept,) = ray_tune.folder.glob("checkpoint_*")
    reached = TrainState.load(kept, sparse.fit).epoch
    ray_tune.reports.clear()
    ray_tune.stop_at = None
    real = trial_module.fit

    def fit(*args: Any, **kwargs: Any) -> Any:
        yield next(iter(real(*args, **kwargs)))
        raise trial_module.Diverged(6, "the loss", float("nan"))

    monkeypatch.setattr(trial_module, "fit", fit)
    run(sparse, inputs, checkpoints=(f"{NAME}/{kept.name}",))
    report = ray_tune.reports[-1]
    assert report["outcome"] == "diverged"
    assert report["epoch"] == reached + 1
    assert report["score"] > 0
    failure = LaunchStorage(inputs.launch_uri).read_json(f"{NAME}/failed.json")
    assert [one["epoch"] for one in failure["history"]] == list(range(1, reached + 2))


def test_a_gpu_that_is_too_small_is_said_and_no_crash(
    ray_tune: Notebook, inputs: SearchInputs, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fit(*_: Any, **__: Any) -> Any:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB. GPU 0 …")

    monkeypatch.setattr(trial_module, "fit", fit)
    run(training(), inputs)
    (report,) = ray_tune.reports
    assert report["outcome"] == "out_of_memory"
    assert report["message"] == "CUDA out of memory"
    assert not list(ray_tune.folder.iterdir())  # it can be tried again
