"""The adapter of `fit()` to Ray Tune, with Ray replaced by a notebook of its calls."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from tuning.backend.trainable import TrialInputs, run_trial

from tuning.backend import trainable
from tuning.launch.attempts import Attempt
from tuning.launch.storage import LaunchStorage
from tuning.launch.trainings import Training, make_training
from tuning.training.config import FitConfig
from tuning.training.data import TaskData
from tuning.training.loop import fit


class Notebook:
    """Stands for `ray.tune` inside a trial: keeps what it reports and what is on disk then."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.reports: list[dict[str, Any]] = []
        self.checkpoints: list[list[str]] = []
        self.stop_at: int | None = None
        self.required_resources = {"CPU": 1.0}

    def report(self, metrics: dict[str, Any]) -> None:
        self.reports.append(metrics)
        self.checkpoints.append(self.on_disk())
        if len(self.reports) == self.stop_at:
            raise SystemExit(0)  # as Ray's own does in a trial that is stopped

    def on_disk(self) -> list[str]:
        return sorted(str(one.relative_to(self.folder)) for one in self.folder.glob("*/check*"))

    def get_context(self) -> Notebook:
        return self

    def get_trial_resources(self) -> Notebook:
        return self

    @property
    def records(self) -> list[dict[str, Any]]:
        return self.records_of("cnn1-relu-lr1e-3")

    def records_of(self, name: str) -> list[dict[str, Any]]:
        reports = [report["trainings"] for report in self.reports]
        return [
            record for report in reports if name in report for record in report[name]["records"]
        ]


@pytest.fixture
def ray_tune(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Notebook:
    notebook = Notebook(tmp_path / "launch")
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


def run(*trainings: Training, inputs: TrialInputs) -> None:
    run_trial({"trainings": [one.to_dict() for one in trainings]}, inputs)


def model_bytes(inputs: TrialInputs, training_id: str, epochs: int) -> bytes:
    folder = Path(inputs.launch_uri) / training_id / "cells" / f"{training_id}-e{epochs}"
    return (folder / "model.safetensors").read_bytes()


def test_every_epoch_is_reported_once_and_cells_come_before_their_report(
    ray_tune: Notebook, inputs: TrialInputs, monkeypatch: pytest.MonkeyPatch
) -> None:
    storage = LaunchStorage(inputs.launch_uri)
    there: list[tuple[str, bool]] = []
    report = ray_tune.report

    def check(metrics: dict[str, Any]) -> None:
        for record in metrics["trainings"]["cnn1-relu-lr1e-3"]["records"]:
            if "milestone" in record:
                path = f"cnn1-relu-lr1e-3/cells/{record['milestone']}/cell.json"
                there.append((record["milestone"], storage.exists(path)))
        report(metrics)

    monkeypatch.setattr(ray_tune, "report", check)
    run(training(), inputs=inputs)
    assert [record["epoch"] for record in ray_tune.records] == [1, 2, 3, 4]
    assert there == [("cnn1-relu-lr1e-3-e2", True), ("cnn1-relu-lr1e-3-e4", True)]
    cell = storage.read_json("cnn1-relu-lr1e-3/cells/cnn1-relu-lr1e-3-e4/cell.json")
    assert cell["metrics"]["val_mse"] == ray_tune.reports[-1]["val_mse"]


def test_the_newest_checkpoint_alone_is_kept_and_lies_there_before_its_report(
    ray_tune: Notebook, inputs: TrialInputs
) -> None:
    run(training(milestones=(1, 2, 3)), inputs=inputs)
    names = [f"cnn1-relu-lr1e-3/checkpoint_{epoch:06}" for epoch in (1, 2, 3)]
    assert ray_tune.checkpoints == [[name] for name in names]


def test_a_trial_that_died_goes_on_from_its_checkpoint(
    ray_tune: Notebook, inputs: TrialInputs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trainable, "_REPORT_EVERY_S", 600.0)  # the first report is of epoch 2
    run(training(), inputs=inputs)
    whole = model_bytes(inputs, "cnn1-relu-lr1e-3", 4)
    LaunchStorage(inputs.launch_uri).delete()
    ray_tune.reports.clear()
    ray_tune.stop_at = 1
    with pytest.raises(SystemExit):
        run(training(), inputs=inputs)
    ray_tune.reports.clear()
    ray_tune.stop_at = None
    run(training(), inputs=inputs)
    assert [record["epoch"] for record in ray_tune.records] == [3, 4]
    assert model_bytes(inputs, "cnn1-relu-lr1e-3", 4) == whole


def test_a_trial_that_is_stopped_saves_its_last_epoch(
    ray_tune: Notebook, inputs: TrialInputs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trainable, "_REPORT_EVERY_S", 0.0)
    monkeypatch.setattr(trainable, "_WAITS_ONE_IN", 0)
    ray_tune.stop_at = 3
    with pytest.raises(SystemExit):
        run(training(milestones=(9,)), inputs=inputs)
    assert ray_tune.on_disk() == ["cnn1-relu-lr1e-3/checkpoint_000003"]
    ray_tune.stop_at = None
    run(training(milestones=(9,)), inputs=inputs)
    assert [record["epoch"] for record in ray_tune.records] == list(range(1, 10))


def test_a_later_attempt_goes_on_from_an_earlier_one(
    ray_tune: Notebook, inputs: TrialInputs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trainable, "_REPORT_EVERY_S", 600.0)  # the first report is of epoch 2
    ray_tune.stop_at = 1
    with pytest.raises(SystemExit):
        run(training(), inputs=inputs)
    ray_tune.reports.clear()
    ray_tune.stop_at = None
    attempt = Attempt(2, ("cnn1-relu-lr1e-3/checkpoint_000002",))
    later = dataclasses.replace(inputs, attempts={"cnn1-relu-lr1e-3": attempt})
    run(training(), inputs=later)
    assert [record["epoch"] for record in ray_tune.records] == [3, 4]
    assert ray_tune.on_disk() == [
        "cnn1-relu-lr1e-3.2/checkpoint_000004",
        "cnn1-relu-lr1e-3/checkpoint_000002",
    ]


def test_a_cell_that_is_there_is_not_written_again(ray_tune: Notebook, inputs: TrialInputs) -> None:
    run(training(), inputs=inputs)
    folder = Path(inputs.launch_uri) / "cnn1-relu-lr1e-3"
    path = folder / "cells/cnn1-relu-lr1e-3-e2/cell.json"
    before = path.read_text()
    shutil.rmtree(folder / "cells/cnn1-relu-lr1e-3-e4")
    shutil.rmtree(folder / "checkpoint_000004")
    run(training(), inputs=inputs)
    assert path.read_text() == before
    assert path.parent.with_name("cnn1-relu-lr1e-3-e4").exists()
    assert [one["milestone"] for one in ray_tune.records if "milestone" in one] == 2 * [
        "cnn1-relu-lr1e-3-e2",
        "cnn1-relu-lr1e-3-e4",
    ]


@pytest.mark.parametrize(("lost", "epochs"), [([3], [3, 4]), ([2, 3], [1, 2, 3, 4]), ([2], [4])])
def test_a_lost_checkpoint_is_replaced_by_the_newest_that_is_whole(
    lost: list[int], epochs: list[int], ray_tune: Notebook, inputs: TrialInputs
) -> None:
    folder = Path(inputs.launch_uri) / "cnn1-relu-lr1e-3"
    for result in fit(training().fit, inputs.data):
        epoch = result.record["epoch"]
        if epoch in (2, 3):
            result.state.save(folder / f"checkpoint_{epoch:06}")
    for epoch in lost:
        (folder / f"checkpoint_{epoch:06}/state.json").unlink()  # as a killed process leaves it
    run(training(), inputs=inputs)
    assert [record["epoch"] for record in ray_tune.records] == epochs


@pytest.mark.parametrize(
    ("epoch_s", "report_s", "reported", "saved"),
    [
        (0.4, 0, [3, 6, 9, 12], [12]),
        (20, 0, list(range(1, 13)), [3, 6, 9, 12]),
        # A driver that answers after 2 s is told every 40 s.
        (15, 2, [1, 4, 7, 10, 12], [4, 8, 12]),
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
    together, report = trainable.train_together, ray_tune.report
    checkpoints: list[str] = []

    def passing(seconds: float) -> None:
        nonlocal now
        now += seconds

    def timed(*args: Any) -> Iterator[Any]:
        for outcomes in together(*args):
            passing(epoch_s)
            yield outcomes
            checkpoints.extend(ray_tune.on_disk())

    def timed_report(*args: Any) -> None:
        report(*args)
        passing(report_s)

    monkeypatch.setattr(trainable.time, "monotonic", lambda: now)
    monkeypatch.setattr(trainable, "train_together", timed)
    monkeypatch.setattr(ray_tune, "report", timed_report)
    run(training(milestones=(12,)), inputs=inputs)
    assert [record["epoch"] for record in ray_tune.records] == list(range(1, 13))
    assert [report["epoch"] for report in ray_tune.reports] == reported
    assert sorted(set(checkpoints)) == [
        f"cnn1-relu-lr1e-3/checkpoint_{epoch:06}" for epoch in saved
    ]


def test_a_divergence_is_an_outcome_and_no_crash(ray_tune: Notebook, inputs: TrialInputs) -> None:
    run(training(lr=1e30), inputs=inputs)
    last = ray_tune.reports[-1]["trainings"]["cnn1-relu-lr1e30"]
    assert last["outcome"] == "diverged"
    assert "try a lower learning rate" in last["message"]
    failure = LaunchStorage(inputs.launch_uri).read_json("cnn1-relu-lr1e30/failed.json")
    assert failure["outcome"] == "diverged"
    assert failure["message"] == last["message"]
    assert [one["epoch"] for one in failure["history"]] == [
        one["epoch"] for one in ray_tune.records_of("cnn1-relu-lr1e30")
    ]


def test_what_has_diverged_is_not_trained_again_when_its_trial_is_retried(
    ray_tune: Notebook, inputs: TrialInputs
) -> None:
    pack = [training(lr=1e30), training()]
    run(*pack, inputs=inputs)
    failure = Path(inputs.launch_uri) / "cnn1-relu-lr1e30/failed.json"
    before = failure.read_text()
    shutil.rmtree(Path(inputs.launch_uri) / "cnn1-relu-lr1e-3")
    ray_tune.reports.clear()
    run(*pack, inputs=inputs)
    assert ray_tune.reports[0]["trainings"]["cnn1-relu-lr1e30"]["outcome"] == "diverged"
    assert [record["epoch"] for record in ray_tune.records] == [1, 2, 3, 4]
    assert failure.read_text() == before


@pytest.mark.usefixtures("ray_tune")
def test_what_diverges_right_after_its_checkpoint_keeps_its_history(inputs: TrialInputs) -> None:
    first = next(fit(training().fit, inputs.data))
    with torch.no_grad():
        for parameter in first.state.model.parameters():
            parameter.fill_(torch.nan)
    first.state.save(Path(inputs.launch_uri) / "cnn1-relu-lr1e-3/checkpoint_000001")
    run(training(), inputs=inputs)
    failure = LaunchStorage(inputs.launch_uri).read_json("cnn1-relu-lr1e-3/failed.json")
    assert [record["epoch"] for record in failure["history"]] == [1]


def test_trainings_of_a_pack_come_to_what_each_comes_to_alone(
    ray_tune: Notebook, inputs: TrialInputs, tmp_path: Path
) -> None:
    pack = [training(lr=1e-3), training(lr=1e30), training(lr=1e-4, milestones=(3,))]
    run(*pack, inputs=inputs)
    together = {one.training_id: ray_tune.records_of(one.training_id) for one in pack}
    assert [len(records) for records in together.values()] == [4, 0, 3]
    last = [report["trainings"] for report in ray_tune.reports]
    outcomes = {name: one["outcome"] for report in last for name, one in report.items()}
    assert outcomes == {
        "cnn1-relu-lr1e-3": "finished",
        "cnn1-relu-lr1e30": "diverged",
        "cnn1-relu-lr1e-4": "finished",
    }
    alone = dataclasses.replace(inputs, launch_uri=str(tmp_path / "alone"))
    for one in pack[::2]:
        ray_tune.reports.clear()
        run(one, inputs=alone)
        for mine, theirs in zip(
            ray_tune.records_of(one.training_id), together[one.training_id], strict=True
        ):
            assert mine["train_loss"] == theirs["train_loss"]
            assert mine.get("val_mse") == theirs.get("val_mse")
        for epochs in one.fit.milestones:
            assert model_bytes(inputs, one.training_id, epochs) == model_bytes(
                alone, one.training_id, epochs
            )


def test_a_pack_that_is_stopped_goes_on_with_all_that_it_had(
    ray_tune: Notebook, inputs: TrialInputs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trainable, "_REPORT_EVERY_S", 0.0)
    monkeypatch.setattr(trainable, "_WAITS_ONE_IN", 0)
    pack = [training(lr=lr, milestones=(6,)) for lr in (1e-3, 1e-4)]
    ray_tune.stop_at = 2
    with pytest.raises(SystemExit):
        run(*pack, inputs=inputs)
    ray_tune.stop_at = None
    run(*pack, inputs=inputs)
    for one in pack:
        epochs = [record["epoch"] for record in ray_tune.records_of(one.training_id)]
        assert epochs == [1, 2, 3, 4, 5, 6]


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
    run(training(milestones=(1,)), inputs=inputs)
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
    tuned = make_training(fit, suffix="-tuned", initial_weights="initial.safetensors")
    run(make_training(fit), tuned, inputs=inputs)
    (first,), (second,) = ray_tune.records, ray_tune.records_of(tuned.training_id)
    assert first["train_loss"] != second["train_loss"]
