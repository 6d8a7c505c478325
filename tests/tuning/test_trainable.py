"""The adapter of `fit()` to Ray Tune, with Ray replaced by a notebook of its calls."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from ray.tune import Checkpoint

from tuning import trainable
from tuning.checkpoint import TrainState
from tuning.data import TaskData
from tuning.fit_config import FitConfig
from tuning.spaces import Training, make_training
from tuning.storage import LaunchStorage
from tuning.trainable import TrialInputs, run_trial


class Notebook:
    """Stands for `ray.tune` inside a trial: keeps reports, copies checkpoints."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.reports: list[dict[str, Any]] = []
        self.checkpoints: list[Path] = []
        self.resume_from: Path | None = None
        self.required_resources = {"CPU": 1.0}
        self.Checkpoint = Checkpoint

    def report(self, metrics: dict[str, Any], checkpoint: Checkpoint | None = None) -> None:
        self.reports.append({**metrics, "has_checkpoint": checkpoint is not None})
        if checkpoint is not None:
            kept = self.folder / f"checkpoint_{len(self.checkpoints):06}"
            shutil.copytree(checkpoint.path, kept)
            self.checkpoints.append(kept)

    def get_context(self) -> Notebook:
        return self

    def get_trial_resources(self) -> Notebook:
        return self

    def get_checkpoint(self) -> Checkpoint | None:
        return Checkpoint(str(self.resume_from)) if self.resume_from else None

    @property
    def records(self) -> list[dict[str, Any]]:
        return [record for report in self.reports for record in report["records"]]


@pytest.fixture
def ray_tune(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Notebook:
    (tmp_path / "ray").mkdir()
    notebook = Notebook(tmp_path / "ray")
    monkeypatch.setattr(trainable, "tune", notebook)
    monkeypatch.setattr(torch, "set_num_threads", lambda _: None)
    return notebook


@pytest.fixture
def inputs(tmp_path: Path, make_data: Callable[..., TaskData]) -> TrialInputs:
    return TrialInputs(str(tmp_path / "launch"), make_data("regression"))


def training(lr: float = 1e-3, milestones: tuple[int, ...] = (2, 4)) -> Training:
    return make_training(
        FitConfig("cnn1", "relu", lr, milestones=milestones, image_size=64, batch_size=10)
    )


def run(one: Training, inputs: TrialInputs) -> None:
    run_trial({"training": one.to_dict()}, inputs)


def test_every_epoch_is_reported_once_and_cells_come_before_their_report(
    ray_tune: Notebook, inputs: TrialInputs, monkeypatch: pytest.MonkeyPatch
) -> None:
    storage = LaunchStorage(inputs.launch_uri)
    there: list[tuple[str, bool]] = []
    report = ray_tune.report

    def check(metrics: dict[str, Any], checkpoint: Checkpoint | None = None) -> None:
        for record in metrics["records"]:
            if "milestone" in record:
                name = record["milestone"]
                path = f"cnn1-relu-lr1e-3/cells/{name}/cell.json"
                there.append((name, storage.exists(path)))
        report(metrics, checkpoint)

    monkeypatch.setattr(ray_tune, "report", check)
    run(training(), inputs)
    assert [record["epoch"] for record in ray_tune.records] == [1, 2, 3, 4]
    assert there == [("cnn1-relu-lr1e-3-e2", True), ("cnn1-relu-lr1e-3-e4", True)]
    assert all(one["has_checkpoint"] for one in ray_tune.reports if "milestone" in one["records"])
    cell = storage.read_json("cnn1-relu-lr1e-3/cells/cnn1-relu-lr1e-3-e4/cell.json")
    assert cell["metrics"]["val_mse"] == ray_tune.reports[-1]["val_mse"]


def test_a_trial_goes_on_from_its_checkpoint(
    ray_tune: Notebook, inputs: TrialInputs, tmp_path: Path
) -> None:
    run(training(), inputs)
    storage = LaunchStorage(inputs.launch_uri)
    path = "cnn1-relu-lr1e-3/cells/cnn1-relu-lr1e-3-e4/model.safetensors"
    whole = storage.download(path, tmp_path / "whole").read_bytes()
    storage.delete()
    ray_tune.reports.clear()
    ray_tune.resume_from = ray_tune.checkpoints[0]
    run(training(), inputs)
    assert [record["epoch"] for record in ray_tune.records] == [3, 4]
    assert storage.download(path, tmp_path / "resumed").read_bytes() == whole


def test_a_cell_that_is_there_is_not_written_again(ray_tune: Notebook, inputs: TrialInputs) -> None:
    run(training(), inputs)
    path = Path(inputs.launch_uri) / "cnn1-relu-lr1e-3/cells/cnn1-relu-lr1e-3-e2/cell.json"
    before = path.read_text()
    shutil.rmtree(path.parent.with_name("cnn1-relu-lr1e-3-e4"))
    run(training(), inputs)
    assert path.read_text() == before
    assert path.parent.with_name("cnn1-relu-lr1e-3-e4").exists()
    assert [one["milestone"] for one in ray_tune.records if "milestone" in one] == 2 * [
        "cnn1-relu-lr1e-3-e2",
        "cnn1-relu-lr1e-3-e4",
    ]


@pytest.mark.parametrize(("lost", "epochs"), [([1], [3, 4]), ([0, 1], [1, 2, 3, 4]), ([0], [])])
def test_a_lost_checkpoint_is_replaced_by_the_newest_that_is_whole(
    lost: list[int], epochs: list[int], ray_tune: Notebook, inputs: TrialInputs
) -> None:
    run(training(), inputs)
    ray_tune.reports.clear()
    for index in lost:
        shutil.rmtree(ray_tune.checkpoints[index])
    (ray_tune.folder / "checkpoint_000002").mkdir()  # what a killed worker has begun
    ray_tune.resume_from = ray_tune.checkpoints[lost[-1]]
    ray_tune.checkpoints.append(ray_tune.folder / "checkpoint_000002")
    run(training(), inputs)
    assert [record["epoch"] for record in ray_tune.records] == epochs


@pytest.mark.parametrize(
    ("epoch_s", "report_s", "reported", "saved"),
    [
        (0.4, 0, [3, 6, 9, 12], [12]),
        (20, 0, list(range(1, 13)), [3, 6, 9, 12]),
        # A driver that answers after 2 s is told every 40 s, and saved to every 60 s.
        (15, 2, [1, 4, 7, 8, 11, 12], [4, 8, 12]),
    ],
)
def test_between_milestones_reports_and_checkpoints_keep_their_pace(
    epoch_s: float,
    report_s: float,
    reported: list[int],
    saved: list[int],
    ray_tune: Notebook,
    inputs: TrialInputs,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = 0.0
    fit, report = trainable.fit, ray_tune.report

    def passing(seconds: float) -> None:
        nonlocal now
        now += seconds

    def timed_fit(*args: Any, **options: Any) -> Iterator[Any]:
        for result in fit(*args, **options):
            passing(epoch_s)
            yield result

    def timed_report(*args: Any, **options: Any) -> None:
        report(*args, **options)
        passing(report_s)

    monkeypatch.setattr(trainable.time, "monotonic", lambda: now)
    monkeypatch.setattr(trainable, "fit", timed_fit)
    monkeypatch.setattr(ray_tune, "report", timed_report)
    one = training(milestones=(12,))
    run(one, inputs)
    assert [record["epoch"] for record in ray_tune.records] == list(range(1, 13))
    assert [report["epoch"] for report in ray_tune.reports] == reported
    assert [report["epoch"] for report in ray_tune.reports if report["has_checkpoint"]] == saved
    state = TrainState.load(ray_tune.checkpoints[0], one.fit, device="cpu")
    assert state.epoch == saved[0]


def test_only_the_newest_checkpoint_is_kept(
    ray_tune: Notebook, inputs: TrialInputs, monkeypatch: pytest.MonkeyPatch
) -> None:
    there: list[list[str]] = []
    report = ray_tune.report

    def as_ray_does(metrics: dict[str, Any], checkpoint: Checkpoint | None = None) -> None:
        there.append(sorted(path.name for path in ray_tune.folder.iterdir()))
        report(metrics, checkpoint)
        ray_tune.resume_from = ray_tune.checkpoints[-1] if ray_tune.checkpoints else None

    monkeypatch.setattr(ray_tune, "report", as_ray_does)
    run(training(milestones=(1, 2, 3, 4)), inputs)
    # The older one goes only after Ray has taken in the newer one.
    assert there == [[], ["checkpoint_000000"], ["checkpoint_000001"], ["checkpoint_000002"]]
    assert [path.name for path in ray_tune.folder.iterdir()] == ["checkpoint_000003"]


def test_a_divergence_is_an_outcome_and_no_crash(ray_tune: Notebook, inputs: TrialInputs) -> None:
    run(training(lr=1e30), inputs)
    last = ray_tune.reports[-1]
    assert last["outcome"] == "diverged"
    assert "try a lower learning rate" in last["message"]
    failure = LaunchStorage(inputs.launch_uri).read_json("cnn1-relu-lr1e30/failed.json")
    assert failure["outcome"] == "diverged"
    assert failure["message"] == last["message"]
    assert [one["epoch"] for one in failure["history"]] == [
        one["epoch"] for one in ray_tune.records
    ]


@pytest.mark.parametrize(
    ("gpus", "available", "device", "share"),
    [
        (0, True, "cpu", None),
        (0.25, False, "cpu", None),
        (0.25, True, "cuda", 0.25),
        (1, True, "cuda", None),
        (2, True, "cuda", None),
    ],
)
def test_a_trial_takes_its_share_of_a_gpu(
    gpus: float,
    available: bool,
    device: str,
    share: float | None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    taken: list[float] = []
    monkeypatch.setattr(torch.cuda, "is_available", lambda: available)
    monkeypatch.setattr(torch.cuda, "set_per_process_memory_fraction", taken.append)
    assert trainable.claim_device(gpus) == device
    assert taken == ([] if share is None else [share])


@pytest.mark.parametrize(("cpus", "threads"), [(0.5, 1), (1.0, 1), (4.0, 4)])
def test_a_trial_computes_on_the_cores_it_was_given(
    cpus: float,
    threads: int,
    ray_tune: Notebook,
    inputs: TrialInputs,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    told: list[int] = []
    monkeypatch.setattr(torch, "set_num_threads", told.append)
    ray_tune.required_resources = {"CPU": cpus}
    run(training(milestones=(1,)), inputs)
    assert told == [threads]


def test_a_training_starts_from_the_weights_it_is_given(
    ray_tune: Notebook, inputs: TrialInputs, tmp_path: Path
) -> None:
    from models import create_model, save_model

    torch.manual_seed(7)
    save_model(create_model("cnn1", image_size=64), tmp_path / "champion")
    storage = LaunchStorage(inputs.launch_uri)
    storage.upload_file(tmp_path / "champion", "initial.safetensors")
    fit = training(milestones=(1,)).fit
    run(make_training(fit), inputs)
    run(make_training(fit, suffix="-tuned", initial_weights="initial.safetensors"), inputs)
    scratch, tuned = (record["train_loss"] for record in ray_tune.records)
    assert scratch != tuned
