"""How what happens to trials reaches source, tracker, progress view and limits."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest

from tuning.launch.attempts import Assignment
from tuning.launch.limits import TIME_IS_UP, TimeLimit
from tuning.launch.monitor import LaunchMonitor
from tuning.launch.records import read_cell
from tuning.launch.trainings import Training


@dataclasses.dataclass
class Journal:
    """Source, tracker, progress view and stopping rule: notes what each is informed of."""

    waiting: list[Assignment]
    live: list[Assignment] = dataclasses.field(default_factory=list)
    notes: list[tuple[Any, ...]] = dataclasses.field(default_factory=list)
    stops_at: int | None = None
    is_fixed = False
    is_over = False
    delivery_timeout_s = 0.0

    def next(self) -> Assignment | None:
        self.live += self.waiting[:1]
        return self.waiting.pop(0) if self.waiting else None

    def _end(self, training_id: str) -> None:
        self.live = [one for one in self.live if one.training_id != training_id]

    def ended(self, training_id: str) -> None:
        self._end(training_id)
        self.notes.append(("ended", training_id))

    def failed(self, training_id: str, outcome: str, message: str) -> None:
        self._end(training_id)
        self.notes.append(("failed", training_id, outcome, message))

    def requeue(self, training_id: str) -> None:
        (again,) = [one for one in self.live if one.training_id == training_id]
        self._end(training_id)
        self.waiting.insert(0, dataclasses.replace(again, attempt=again.attempt + 1, is_new=False))
        self.notes.append(("requeue", training_id))

    def stopped(self) -> Sequence[Training]:
        return [one.training for one in self.live]

    def observe(self, training_id: str, *news: Any) -> None:
        self.notes.append(("observe", training_id, *news))

    def training_ended(self, training_id: str, outcome: str, message: str) -> None:
        self.notes.append(("tracked", training_id, outcome, message))

    def start(self) -> None: ...

    def close(self, status: str) -> list[str]:  # noqa: ARG002
        return []

    def rename(self, old: str, new: str, epochs: int) -> None:
        self.notes.append(("rename", old, new, epochs))

    def update(self, name: str, epoch: int, metrics: Mapping[str, float], status: str) -> None:
        self.notes.append(("shown", name, epoch, dict(metrics), status))

    def message(self, text: str) -> None:
        self.notes.append(("message", text))

    def stops(self, training_id: str, epoch: int, score: float) -> bool:
        self.notes.append(("judged", training_id, epoch, score))
        return epoch == self.stops_at

    def taken(self, *kinds: str) -> list[tuple[Any, ...]]:
        found = [note for note in self.notes if note[0] in kinds]
        self.notes.clear()
        return found


@pytest.fixture
def training(make_small: Callable[..., Training]) -> Training:
    return make_small(6, lr=3e-3, keep="best")


@pytest.fixture
def journal(training: Training) -> Journal:
    return Journal([Assignment(training, is_new=True)])


@pytest.fixture
def make_monitor(judged: Any, journal: Journal) -> Callable[..., LaunchMonitor]:
    """A function of retries and placeholders -> a monitor whose parts are all the journal."""

    def make(
        max_failures: int = 1, placeholders: Sequence[str] = (), limit: TimeLimit | None = None
    ) -> LaunchMonitor:
        return LaunchMonitor(
            *(judged.storage, judged.inputs.data, journal, journal, journal),
            *(limit or TimeLimit(), journal, max_failures, placeholders),
        )

    return make


def report(
    training: Training, epoch: int, outcome: str = "running", score: float | None = None
) -> dict[str, Any]:
    record = {"epoch": epoch, "train_loss": 1.0 / epoch, "val_mse": 2.0 / epoch}
    name = training.training_id
    content = {"training_id": name, "outcome": outcome, "message": "", "records": [record]}
    return content if score is None else {**content, "epoch": epoch, "score": score}


def test_a_report_reaches_source_tracker_and_view(
    make_monitor: Callable[..., LaunchMonitor], journal: Journal, training: Training
) -> None:
    monitor, name = make_monitor(), training.training_id
    assert monitor.next() is not None
    monitor.trial_started(name, 1.0, 0.0)
    plain, judged = report(training, 1), report(training, 2, score=1.0)
    for each in (plain, judged):
        assert not monitor.stops(each)
        monitor.reported(each)
    assert journal.taken("observe", "judged", "shown") == [
        ("shown", name, 0, {}, "running"),
        ("observe", name, plain["records"]),
        ("shown", name, 1, {"train_loss": 1.0, "val_mse": 2.0}, "running"),
        ("judged", name, 2, 1.0),
        ("observe", name, 2, 1.0),
        ("observe", name, judged["records"]),
        ("shown", name, 2, {"train_loss": 0.5, "val_mse": 1.0}, "running"),
    ]
    monitor.reported({**report(training, 3, "finished"), "records": []})
    monitor.trial_completed(name)
    assert journal.notes == [
        ("ended", name),
        ("tracked", name, "finished", ""),
        ("shown", name, 2, {}, "done"),
    ]
    assert monitor.messages == {}


def test_a_trial_that_dies_is_run_again_as_often_as_it_may_be(
    make_monitor: Callable[..., LaunchMonitor], journal: Journal, training: Training
) -> None:
    monitor, name = make_monitor(max_failures=2), training.training_id
    for failure in (1, 2):
        assignment = monitor.next()
        assert assignment is not None
        assert assignment.attempt == failure
        monitor.trial_started(name, 1.0, 0.0)
        journal.notes.clear()
        monitor.trial_raised(name, "OSError: disk full")
        again = f"{name} crashed and resumes from its last checkpoint (failure {failure})"
        assert journal.notes == [
            ("requeue", name),
            ("message", f"{again}: OSError: disk full"),
        ]
        assert monitor.messages == {}
    monitor.next()
    journal.notes.clear()
    monitor.trial_raised(name, "OSError: disk full")
    assert journal.notes == [
        ("failed", name, "failed", "OSError: disk full"),
        ("tracked", name, "failed", "OSError: disk full"),
        ("shown", name, 0, {}, "failed"),
    ]
    assert monitor.messages == {name: ("failed", "OSError: disk full")}


def test_a_divergence_is_a_failure_and_no_crash(
    make_monitor: Callable[..., LaunchMonitor], journal: Journal, training: Training
) -> None:
    monitor, name = make_monitor(), training.training_id
    monitor.next()
    monitor.reported({**report(training, 1, "diverged"), "message": "NaN"})
    journal.notes.clear()
    monitor.trial_completed(name)
    assert journal.taken("failed", "tracked", "requeue") == [
        ("failed", name, "diverged", "NaN"),
        ("tracked", name, "diverged", "NaN"),
    ]
    assert monitor.messages == {name: ("diverged", "NaN")}


def test_a_pruned_trial_leaves_the_cell_of_its_best_epoch(
    make_monitor: Callable[..., LaunchMonitor], journal: Journal, judged: Any, training: Training
) -> None:
    monitor, name = make_monitor(), training.training_id
    journal.stops_at = 4
    monitor.next()
    stopped: list[bool] = []

    def listen(each: Any) -> None:
        stopped.append(monitor.stops(each))
        monitor.reported(each)
        if stopped[-1]:
            judged.stop_at = len(judged.reports)

    judged.on_report = listen
    judged.run(training)
    assert stopped.count(True) == 1
    assert monitor.was_stopped_early(name)
    journal.notes.clear()
    monitor.trial_completed(name)
    assert journal.notes == [
        ("ended", name),
        ("tracked", name, "pruned", ""),
        ("shown", name, 4, {}, "pruned"),
    ]
    cell = read_cell(judged.storage, name, training.cells[0].cell_id)
    assert cell is not None
    assert cell.outcome == "pruned"
    assert [record["epoch"] for record in cell.history] == [1, 2, 3, 4]
    best = min(cell.history, key=lambda record: float(record["val_mse"]))
    assert (cell.kept_epoch, cell.metrics["val_mse"]) == (best["epoch"], best["val_mse"])


def test_a_pruned_trial_without_a_checkpoint_has_failed(
    make_monitor: Callable[..., LaunchMonitor], journal: Journal, training: Training
) -> None:
    monitor, name = make_monitor(), training.training_id
    journal.stops_at = 1
    monitor.next()
    assert monitor.stops(report(training, 1, score=0.5))
    journal.notes.clear()
    monitor.trial_completed(name)
    message = "it left no checkpoint that could be read"
    assert journal.taken("failed", "ended") == [("failed", name, "failed", message)]


def test_the_last_score_of_a_trial_stops_nothing(
    make_monitor: Callable[..., LaunchMonitor], journal: Journal, training: Training
) -> None:
    monitor = make_monitor()
    journal.stops_at = 6
    monitor.next()
    assert not monitor.stops(report(training, 6, "finished", score=0.5))
    assert journal.taken("judged") == [("judged", training.training_id, 6, 0.5)]
    assert not monitor.was_stopped_early(training.training_id)


def test_a_trial_that_was_to_be_stopped_and_died_is_not_taken_for_pruned(
    make_monitor: Callable[..., LaunchMonitor], journal: Journal, training: Training
) -> None:
    monitor, name = make_monitor(), training.training_id
    journal.stops_at = 1
    monitor.next()
    assert monitor.stops(report(training, 1, score=0.5))
    monitor.trial_raised(name, "killed")
    monitor.next()
    monitor.trial_started(name, 1.0, 0.0)
    assert not monitor.was_stopped_early(name)
    monitor.trial_completed(name)
    assert journal.taken("ended") == [("ended", name)]


@pytest.mark.parametrize("epochs", [0, 3])
def test_a_launch_that_stops_keeps_the_best_of_running_search_trials(
    epochs: int,
    make_monitor: Callable[..., LaunchMonitor],
    journal: Journal,
    judged: Any,
    training: Training,
) -> None:
    monitor, name = make_monitor(), training.training_id
    monitor.next()
    if epochs:
        judged.on_report = monitor.reported
        judged.stop_at = epochs
        judged.run(training)
    journal.notes.clear()
    monitor.stopped()
    assert journal.notes == [("tracked", name, "stopped", "")]
    cell = read_cell(judged.storage, name, training.cells[0].cell_id)
    assert (cell is None) == (epochs == 0)
    if cell is not None:
        assert cell.outcome == "stopped"
        assert cell.last_epoch >= epochs


def test_a_budget_ends_a_launch_once(make_monitor: Callable[..., LaunchMonitor]) -> None:
    now = 0.0
    monitor = make_monitor(limit=TimeLimit(60, clock=lambda: now))
    assert not monitor.is_time_to_stop()
    assert monitor.ended_by is None
    now = 60.0
    assert [monitor.is_time_to_stop() for _ in range(3)] == [True, False, False]
    assert monitor.ended_by == TIME_IS_UP


def test_devices_are_counted_while_trials_hold_them(
    make_monitor: Callable[..., LaunchMonitor], training: Training
) -> None:
    held: list[tuple[Any, ...]] = []

    class Limit(TimeLimit):
        def trial_began(self, name: str, cpus: float, gpus: float) -> None:
            held.append((name, cpus, gpus))

        def trial_ended(self, name: str) -> None:
            held.append((name,))

        def save(self) -> None:
            held.append(("saved",))

    monitor, name = make_monitor(limit=Limit()), training.training_id
    monitor.next()
    monitor.trial_started(name, 2.0, 0.25)
    monitor.trial_raised(name, "killed")
    monitor.next()
    monitor.trial_started(name, 2.0, 0.25)
    monitor.stopped()
    assert held == [(name, 2.0, 0.25), (name,), (name, 2.0, 0.25), (name,), ("saved",)]


def test_trials_take_the_places_that_were_shown_for_them(
    make_monitor: Callable[..., LaunchMonitor], journal: Journal, make_small: Any
) -> None:
    journal.waiting = [
        Assignment(make_small(6, lr=lr), is_new=new)
        for lr, new in ((1, True), (2, False), (3, True))
    ]
    names = [assignment.training_id for assignment in journal.waiting]
    monitor = make_monitor(placeholders=["trial 1"])
    while monitor.next() is not None:
        pass
    assert journal.notes == [("rename", "trial 1", names[0], 6)]
