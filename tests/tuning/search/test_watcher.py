"""How a trial's end on Ray becomes what ledger, MLflow and the view are told."""

from __future__ import annotations

import dataclasses
import signal
from collections.abc import Callable
from typing import Any

import pytest
from optuna.trial import TrialState
from tuning.backend.search_callback import SearchWatcher

from tuning.backend import search_callback as watcher_module
from tuning.search.budget import Allowance, Budget
from tuning.training.data import TaskData

MakeScript = Callable[..., Any]


@dataclasses.dataclass
class Heard:
    """Stands for the projection and the progress view."""

    ended: list[tuple[str, str, str]] = dataclasses.field(default_factory=list)
    statuses: list[tuple[str, str]] = dataclasses.field(default_factory=list)
    lines: list[str] = dataclasses.field(default_factory=list)

    def observe(self, training_id: str, records: Any) -> None:
        pass

    def training_ended(self, training_id: str, outcome: str, message: str) -> None:
        self.ended.append((training_id, outcome, message))

    def update(self, name: str, *_: Any, status: str = "running") -> None:
        if status != "running":
            self.statuses.append((name, status))

    def message(self, text: str) -> None:
        self.lines.append(text)


@dataclasses.dataclass
class Trial:
    """What a callback of Ray's is given."""

    name: str
    gpus: float = 0.0
    num_failures: int = 1
    error_file: str | None = None

    def __str__(self) -> str:
        return self.name

    @property
    def placement_group_factory(self) -> Trial:
        return self

    @property
    def required_resources(self) -> dict[str, float]:
        return {"CPU": 1.0, "GPU": self.gpus}


@dataclasses.dataclass
class Scene:
    """A search with one trial under way."""

    search: Any
    heard: Heard
    watcher: SearchWatcher
    budget: Budget

    def begin(self, gpus: float = 0.0) -> Trial:
        trial = Trial(self.search.next().training.training_id, gpus)
        self.watcher.on_trial_start(0, [], trial)
        return trial

    def report(self, trial: Trial, epoch: int, psnr: float, **more: Any) -> None:
        record = {"epoch": epoch, "val_psnr": psnr, "seconds": 1.0, "timestamp": epoch}
        if more.pop("last", False):
            record["milestone"] = trial.name
        result = {
            "outcome": "running",
            "message": "",
            "records": [record],
            "epoch": epoch,
            "score": psnr,
        } | more
        self.watcher.on_trial_result(0, [], trial, result)


@pytest.fixture
def scene(script: MakeScript, make_data: Callable[..., TaskData]) -> Scene:
    search = script(total=9)
    heard = Heard()
    budget = Budget(search.launch.storage)
    budget.allow(Allowance(9))
    data = make_data("colorizer")
    watcher = SearchWatcher(
        search.launch.storage,
        data,
        search.ledger,
        budget,
        heard,
        heard,  # type: ignore[arg-type]
    )
    return Scene(search, heard, watcher, budget)


def test_a_trial_that_reached_its_end_is_finished(scene: Scene) -> None:
    trial = scene.begin()
    scene.report(trial, 1, 30.0)
    scene.search.write_cell(trial.name, [30.0, 31.0])
    scene.report(trial, 2, 31.0, last=True)
    scene.watcher.on_trial_complete(0, [], trial)
    assert scene.heard.ended == [(trial.name, "finished", "")]
    assert scene.heard.statuses == [(trial.name, "done")]
    assert scene.search.trial(0).state == TrialState.COMPLETE
    assert not scene.budget._held


def test_a_trial_that_the_scheduler_stopped_is_cut_before_anyone_is_told(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    trial = scene.begin()
    scene.report(trial, 1, 30.0)
    scene.report(trial, 2, 29.0)

    def cut(_: Any, training: Any, __: Any, outcome: str, *, history: Any) -> bool:
        assert not scene.heard.ended
        assert scene.search.trial(0).state == TrialState.RUNNING
        assert [record["epoch"] for record in history] == [1, 2]
        scene.search.write_cell(training.training_id, [30.0, 29.0], outcome)
        return True

    monkeypatch.setattr(watcher_module, "cut_cell", cut)
    scene.watcher.on_trial_complete(0, [], trial)
    assert scene.heard.ended == [(trial.name, "pruned", "")]
    assert scene.search.trial(0).state == TrialState.PRUNED
    assert scene.search.trial(0).value == 30.0


def test_a_cut_that_cannot_be_made_is_a_failure_and_no_crash(scene: Scene) -> None:
    trial = scene.begin()
    scene.report(trial, 1, 30.0)  # and no checkpoint in the folder
    scene.watcher.on_trial_complete(0, [], trial)
    assert scene.heard.ended == [(trial.name, "failed", "it left no checkpoint that could be read")]
    assert scene.search.trial(0).state == TrialState.FAIL


def test_a_divergence_and_a_crash_are_told_apart(scene: Scene) -> None:
    diverged = scene.begin()
    scene.report(diverged, 1, 30.0, outcome="diverged", message="NaN in epoch 2")
    scene.watcher.on_trial_complete(0, [], diverged)
    crashed = scene.begin()
    scene.watcher.on_trial_recover(0, [], crashed)
    assert "crashed and goes on from its last checkpoint (failure 1)" in scene.heard.lines[0]
    scene.watcher.on_trial_start(0, [], crashed)
    scene.watcher.on_trial_error(0, [], crashed)
    assert scene.heard.ended == [
        (diverged.name, "diverged", "NaN in epoch 2"),
        (crashed.name, "failed", "the trial's process died"),
    ]
    assert [trial.user_attrs["outcome"] for trial in scene.search.study.trials] == [
        "diverged",
        "failed",
    ]


def test_a_gpu_that_is_too_small_is_tried_once_more_and_then_fails_with_a_clear_word(
    scene: Scene,
) -> None:
    trial = scene.begin(gpus=1 / 16)
    starved = {"outcome": "out_of_memory", "message": "CUDA out of memory", "records": []}
    scene.watcher.on_trial_result(0, [], trial, starved)
    scene.watcher.on_trial_complete(0, [], trial)
    assert not scene.heard.ended
    assert scene.search.trial(0).state == TrialState.RUNNING
    assert "is tried again with 0.125" in scene.heard.lines[0]

    again = scene.search.next()
    assert (again.training.training_id, again.gpus, again.attempt) == (trial.name, 1 / 8, 2)
    larger = Trial(trial.name, gpus=1 / 8)
    scene.watcher.on_trial_start(0, [], larger)
    scene.watcher.on_trial_result(0, [], larger, starved)
    scene.watcher.on_trial_complete(0, [], larger)
    ((name, outcome, message),) = scene.heard.ended
    assert (name, outcome) == (trial.name, "failed")
    assert message == ("out of GPU memory with 0.0625 and with 0.125 of a GPU: CUDA out of memory")
    assert scene.search.trial(0).state == TrialState.FAIL
    assert scene.search.next().number == 1


def test_a_whole_gpu_that_is_too_small_fails_at_once(scene: Scene) -> None:
    trial = scene.begin(gpus=1.0)
    starved = {"outcome": "out_of_memory", "message": "CUDA out of memory", "records": []}
    scene.watcher.on_trial_result(0, [], trial, starved)
    scene.watcher.on_trial_complete(0, [], trial)
    assert scene.heard.ended[0][2] == "out of GPU memory with 1 of a GPU: CUDA out of memory"


def test_a_larger_share_may_be_enough(scene: Scene) -> None:
    trial = scene.begin(gpus=0.5)
    starved = {"outcome": "out_of_memory", "message": "CUDA out of memory", "records": []}
    scene.watcher.on_trial_result(0, [], trial, starved)
    scene.watcher.on_trial_complete(0, [], trial)
    scene.search.next()
    larger = Trial(trial.name, gpus=1.0)
    scene.watcher.on_trial_start(0, [], larger)
    scene.search.write_cell(trial.name, [30.0])
    scene.report(larger, 1, 30.0, last=True)
    scene.watcher.on_trial_complete(0, [], larger)
    assert scene.heard.ended == [(trial.name, "finished", "")]


def test_a_budget_that_is_used_up_stops_the_search_once(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    raised: list[int] = []
    monkeypatch.setattr(signal, "raise_signal", raised.append)
    scene.watcher.on_step_end(0, [])
    monkeypatch.setattr(scene.budget, "used_up", lambda: "the budget of 1 GPU hours is used up")
    scene.watcher.on_step_end(0, [])
    scene.watcher.on_step_end(0, [])
    assert raised == [signal.SIGINT]
    assert scene.watcher.out_of == "the budget of 1 GPU hours is used up"


def test_what_is_left_unfinished_is_kept_and_told_as_stopped(scene: Scene) -> None:
    trial = scene.begin()
    scene.report(trial, 1, 30.0)
    scene.watcher.stopped()
    assert scene.heard.ended == [(trial.name, "stopped", "")]
    assert scene.search.trial(0).user_attrs["outcome"] == "stopped"
    assert scene.search.trial(0).state == TrialState.RUNNING
