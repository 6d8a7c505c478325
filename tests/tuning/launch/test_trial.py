"""A trial: what it reports when, what it leaves in the launch folder, what it resumes from."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch

from models import create_model, save_model
from tuning.launch import trial
from tuning.launch.records import read_failure
from tuning.launch.trainings import Training, make_training
from tuning.launch.trial import claim_device
from tuning.training.checkpoint import TrainState
from tuning.training.loop import Diverged, fit

Make = Callable[..., Training]
NAME = "fc-tanh-lr1e-3"


@pytest.fixture
def every_epoch(monkeypatch: pytest.MonkeyPatch) -> None:
    """Report every epoch, however short it is."""
    monkeypatch.setattr(trial, "_REPORT_EVERY_S", 0.0)
    monkeypatch.setattr(trial, "_WAITS_ONE_IN", 0)


def test_every_epoch_is_reported_once_and_a_cell_is_whole_before_its_report(
    trials: Any, make_small: Make
) -> None:
    milestones: dict[str, bool] = {}

    def look(report: Any) -> None:
        for record in report["records"]:
            if "milestone" in record:
                cell = f"{NAME}/cells/{record['milestone']}"
                files = trials.storage.list_dir(cell)
                milestones[record["milestone"]] = files == ["cell.json", "model.safetensors"]

    trials.on_report = look
    trials.run(make_small(2, 4))
    assert trials.epochs == [1, 2, 3, 4]
    assert milestones == {f"{NAME}-e2": True, f"{NAME}-e4": True}
    outcomes = [report["outcome"] for report in trials.reports]
    assert outcomes == ["running"] * (len(outcomes) - 1) + ["finished"]
    assert all(report["training_id"] == NAME for report in trials.reports)
    assert not any("score" in report for report in trials.reports)
    assert trials.cell(make_small(2, 4), 4)["metrics"]["val_mse"] == trials.records[-1]["val_mse"]


def test_a_judged_trial_reports_each_validation_with_its_best_so_far(
    judged: Any, make_small: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A checkpoint with the best weights is there before the report that names them."""
    monkeypatch.setattr(trial, "_REPORT_EVERY_S", 600.0)
    training = make_small(7, lr=3e-3, eval_every=2, keep="best")
    name = training.training_id
    kept: list[int] = []

    def look(_: Any) -> None:
        newest = judged.checkpoints()[-1]
        state = TrainState.load(judged.folder / newest, training.fit, "cpu")
        kept.append(state.best_record["epoch"] if state.best_record else 0)

    judged.on_report = look
    judged.run(training)
    validated = [report["epoch"] for report in judged.reports]
    assert validated == [1, 2, 4, 6, 7]
    assert judged.epochs == [1, 2, 3, 4, 5, 6, 7]
    scores = [record["val_mse"] for record in judged.records if "val_mse" in record]
    best = [min(scores[: count + 1]) for count in range(len(scores))]
    assert [report["score"] for report in judged.reports] == best
    assert kept == [validated[scores.index(score)] for score in best]
    cell = judged.cell(training, 7)
    assert cell["metrics"]["val_mse"] == min(scores)
    assert cell["kept_epoch"] == validated[scores.index(min(scores))]
    assert cell["training_id"] == name


@pytest.mark.parametrize(
    ("epoch_s", "report_s", "reported", "saved"),
    [
        (0.4, 0, [3, 6, 9, 12], [12]),
        (20, 0, list(range(1, 13)), [3, 6, 9, 12]),
        # A driver that answers after 2 s is sent a report every 40 s.
        (15, 2, [1, 4, 7, 10, 12], [4, 8, 12]),
    ],
)
def test_between_milestones_reports_and_checkpoints_keep_their_pace(
    epoch_s: float,
    report_s: float,
    reported: list[int],
    saved: list[int],
    trials: Any,
    make_small: Make,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = 0.0
    found: set[str] = set()

    def timed(*args: Any, **kwargs: Any) -> Iterator[Any]:
        nonlocal now
        for result in fit(*args, **kwargs):
            now += epoch_s
            yield result
            found.update(trials.checkpoints())

    def slow(_: Any) -> None:
        nonlocal now
        now += report_s

    monkeypatch.setattr(trial.time, "monotonic", lambda: now)
    monkeypatch.setattr(trial, "fit", timed)
    trials.on_report = slow
    trials.run(make_small(12))
    found.update(trials.checkpoints())
    assert trials.epochs == list(range(1, 13))
    assert [report["records"][-1]["epoch"] for report in trials.reports] == reported
    assert sorted(found) == [f"{NAME}/checkpoint_{epoch:06}" for epoch in saved]


def test_a_resumed_trial_first_reports_the_validation_that_it_resumes_from(
    judged: Any, make_small: Make
) -> None:
    """The report may have been lost, or the answer, which may have been to stop the trial."""
    training = make_small(4, keep="best")
    judged.stop_at = 2
    judged.run(training)
    (lost, left) = (judged.reports[-1], judged.checkpoints())
    judged.stop_at = 1
    judged.run(training, 2, tuple(reversed(left)))
    assert judged.reports == [{**lost, "records": []}]
    assert judged.checkpoints() == left


@pytest.mark.usefixtures("every_epoch")
@pytest.mark.parametrize(
    ("milestones", "settings"),
    [
        ((2, 6), {"ema": 0.9, "flip": True}),
        ((6,), {"keep": "best", "schedule": "onecycle", "optimizer": "adamw"}),
    ],
    ids=["grid", "search"],
)
@pytest.mark.parametrize("stop_at", [1, 3, 5])
@pytest.mark.parametrize("attempt", [1, 2])
def test_a_stopped_trial_saves_its_last_epoch_and_resumes_with_the_same_bits(
    milestones: tuple[int, ...],
    settings: dict[str, Any],
    stop_at: int,
    attempt: int,
    trials: Any,
    make_small: Make,
) -> None:
    training = make_small(*milestones, **settings)
    trials.run(training)
    whole = [trials.cell(training, epoch) for epoch in milestones]
    trials.forget()

    trials.stop_at = stop_at
    trials.run(training)
    assert trials.checkpoints()[-1] == f"{NAME}/checkpoint_{stop_at:06}"
    left = tuple(reversed(trials.checkpoints()))
    trials.stop_at = None
    # The same attempt finds its own; a later one is handed those of earlier ones.
    trials.run(training, attempt, left if attempt == 2 else ())
    assert trials.epochs == list(range(stop_at + 1, 7))
    assert [trials.cell(training, epoch) for epoch in milestones] == whole
    if attempt == 2:
        assert set(left) < set(trials.checkpoints())  # left to whoever else reads them


@pytest.mark.parametrize(
    ("damaged", "epochs"), [([3], [3, 4]), ([2, 3], [1, 2, 3, 4]), ([2], [4]), ([], [4])]
)
@pytest.mark.parametrize("damage", ["cut off", "flipped bit"])
def test_the_newest_whole_checkpoint_is_resumed_from(
    damaged: list[int], epochs: list[int], damage: str, trials: Any, make_small: Make
) -> None:
    training = make_small(4)
    for result in fit(training.fit, trials.inputs.data):
        epoch = result.state.epoch
        if epoch in (2, 3):
            result.state.save(trials.folder / NAME / f"checkpoint_{epoch:06}")
    for epoch in damaged:
        folder = trials.folder / NAME / f"checkpoint_{epoch:06}"
        if damage == "cut off":
            (folder / "state.json").unlink()  # as a killed process leaves it
        else:
            weights = next(folder.glob("model-*"))
            content = bytearray(weights.read_bytes())
            content[-1] ^= 1
            weights.write_bytes(content)
    trials.run(training)
    assert trials.epochs == epochs


def test_what_has_ended_is_reported_again_and_no_cell_is_rewritten(
    trials: Any, make_small: Make
) -> None:
    training = make_small(2, 4)
    trials.run(training)
    cells = sorted((trials.folder / NAME / "cells").rglob("*.*"))
    before = [(path, path.read_bytes()) for path in cells]
    for path in trials.checkpoints():
        shutil.rmtree(trials.folder / path)
    # The trial was killed before its last report.
    for attempt in (1, 2):
        trials.run(training, attempt)
        assert (trials.epochs, trials.reports[-1]["outcome"]) == ([], "finished")
    assert [(path, path.read_bytes()) for path in cells] == before
    assert not trials.storage.exists(f"{NAME}.2")


def test_a_lost_cell_is_trained_again_and_others_are_not_rewritten(
    trials: Any, make_small: Make
) -> None:
    training = make_small(2, 4)
    trials.run(training)
    whole = trials.cell(training, 2), trials.cell(training, 4)
    kept = trials.folder / NAME / f"cells/{NAME}-e2/cell.json"
    before = kept.stat().st_mtime_ns
    shutil.rmtree(trials.folder / NAME / f"cells/{NAME}-e4")
    trials.run(training, attempt=2)
    assert (trials.cell(training, 2), trials.cell(training, 4)) == whole
    assert kept.stat().st_mtime_ns == before


def test_a_divergence_is_an_outcome_that_the_next_attempt_reports_at_once(
    trials: Any, make_small: Make
) -> None:
    training = make_small(2, lr=1e30)
    name = training.training_id
    for attempt in (1, 2):
        trials.run(training, attempt)
        assert trials.reports[-1]["outcome"] == "diverged"
        assert "try a lower learning rate" in trials.reports[-1]["message"]
        failure = read_failure(trials.storage, name)
        assert failure is not None
        assert (failure.outcome, failure.message) == ("diverged", trials.reports[-1]["message"])
    assert trials.epochs == []
    assert not trials.storage.exists(f"{name}.2")
    assert not trials.storage.exists(f"{name}/cells")


@pytest.mark.parametrize("judge", [False, True])
def test_a_divergence_after_a_resume_has_its_whole_history(
    judge: bool, request: pytest.FixtureRequest, make_small: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    trials = request.getfixturevalue("judged" if judge else "trials")
    training = make_small(6)
    first = next(fit(training.fit, trials.inputs.data))
    first.state.save(trials.folder / NAME / "checkpoint_000001")

    def diverging(*args: Any, **kwargs: Any) -> Iterator[Any]:
        yield next(fit(*args, **kwargs))
        raise Diverged(3, "train_loss", float("nan"))

    monkeypatch.setattr(trial, "fit", diverging)
    trials.run(training)
    failure = read_failure(trials.storage, NAME)
    assert failure is not None
    assert [record["epoch"] for record in failure.history] == [1, 2]
    assert trials.reports[-1]["outcome"] == "diverged"
    assert trials.epochs == [2]


def test_a_training_starts_from_the_weights_it_is_given(
    trials: Any, make_small: Make, tmp_path: Any
) -> None:
    torch.manual_seed(7)
    model = create_model("fc", head="tanh", image_size=64, hidden=(8, 4))
    save_model(model, tmp_path / "champion")
    trials.storage.upload_file(tmp_path / "champion", "initial.safetensors")
    tuned = make_training(make_small(1).fit, suffix="-tuned", initial_weights="initial.safetensors")
    trials.run(tuned)
    given = trials.records[0]["train_loss"]
    (result,) = fit(tuned.fit, trials.inputs.data, initial_weights=model.state_dict())
    assert result.record["train_loss"] == given
    trials.run(make_small(1))
    assert trials.records[0]["train_loss"] != given


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
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", True)
    assert claim_device(gpus) == device
    assert taken == ([] if share is None else [share])
