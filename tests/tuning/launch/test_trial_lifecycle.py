"""How what happens to trials reaches source, tracker, progress view and limits."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from tuning.launch.checkpoint_choice import Assignment
from tuning.launch.limits import TIME_IS_UP, TimeLimit
from tuning.launch.records import read_cell
from tuning.launch.trainings import Training
from tuning.launch.trial_lifecycle import LaunchMonitor


class Journal:
    """Source, tracker and progress view: notes what each is informed of."""

    def __init__(self, judged: Any, training: Training) -> None:
        self.training, self.name = training, training.training_id
        self.waiting = [Assignment(training, is_new=True)]
        self.live: list[Assignment] = []
        self.notes: list[tuple[Any, ...]] = []
        self.stops_at: int | None = None
        self._judged = judged

    def monitor(
        self,
        max_failures: int = 1,
        placeholders: Sequence[str] = (),
        limit: TimeLimit | None = None,
    ) -> LaunchMonitor:
        """A monitor whose parts are all this journal."""
        part: Any = self
        return LaunchMonitor(
            *(self._judged.storage, self._judged.inputs.data, part, part, part),
            *(limit or TimeLimit(), max_failures, placeholders),
        )

    def __getattr__(self, name: str) -> Callable[..., None]:
        return lambda *news: self.notes.append((name, *news))

    def next(self) -> Assignment | None:
        self.live += self.waiting[:1]
        return self.waiting.pop(0) if self.waiting else None

    def requeue(self, training_id: str) -> None:
        (again,) = [one for one in self.live if one.training_id == training_id]
        self.live.remove(again)
        self.waiting.insert(0, dataclasses.replace(again, attempt=again.attempt + 1, is_new=False))
        self.notes.append(("requeue", training_id))

    def stopped(self) -> Sequence[tuple[Training, str]]:
        return [(assignment.training, "stopped") for assignment in self.live]

    def observe(self, training_id: str, *news: Any) -> str:
        self.notes.append(("observe", training_id, *news))
        return "stop" if news[0] == self.stops_at else "train"

    def taken(self, *kinds: str) -> list[tuple[Any, ...]]:
        """The notes of these kinds; all are forgotten then."""
        found = [note for note in self.notes if note[0] in kinds or not kinds]
        self.notes.clear()
        return found


@pytest.fixture
def journal(judged: Any, make_small: Callable[..., Training]) -> Journal:
    return Journal(judged, make_small(6, lr=3e-3, keep="best"))


def report(
    journal: Journal, epoch: int, outcome: str = "running", score: float | None = None
) -> dict[str, Any]:
    record = {"epoch": epoch, "train_loss": 1.0 / epoch, "val_mse": 2.0 / epoch}
    content = {"training_id": journal.name, "outcome": outcome, "message": "", "records": [record]}
    return content if score is None else {**content, "epoch": epoch, "score": score}


def test_a_report_reaches_source_tracker_and_view(journal: Journal) -> None:
    monitor, name = journal.monitor(), journal.name
    assert monitor.next() is not None
    monitor.trial_started(name, 1.0, 0.0)
    plain, judged = report(journal, 1), report(journal, 2, score=1.0)
    for each in (plain, judged):
        assert not monitor.stops(each)
        monitor.reported(each)
    assert journal.taken() == [
        ("rename", name, name, 6),
        ("update", name, 0, {}, "running"),
        ("observe", name, plain["records"]),
        ("update", name, 1, {"train_loss": 1.0, "val_mse": 2.0}, "running"),
        ("observe", name, 2, 1.0),
        ("observe", name, judged["records"]),
        ("update", name, 2, {"train_loss": 0.5, "val_mse": 1.0}, "running"),
    ]
    monitor.reported({**report(journal, 3, "finished"), "records": []})
    monitor.trial_completed(name)
    assert journal.notes == [
        ("ended", name),
        ("training_ended", name, "finished", ""),
        ("update", name, 2, {}, "done"),
    ]
    assert monitor.messages == {}


def test_a_trial_that_dies_is_run_again_as_often_as_it_may_be(journal: Journal) -> None:
    monitor, name = journal.monitor(max_failures=2), journal.name
    for failure in (1, 2):
        assignment = monitor.next()
        assert assignment is not None
        assert assignment.attempt == failure
        journal.notes.clear()
        monitor.trial_raised(name, "OSError: disk full")
        again = f"{name} crashed and resumes from its last checkpoint (failure {failure})"
        assert journal.taken() == [("requeue", name), ("message", f"{again}: OSError: disk full")]
        assert monitor.messages == {}
    monitor.next()
    monitor.trial_raised(name, "OSError: disk full")
    assert journal.notes == [
        ("message", f"{name} failed: OSError: disk full"),
        ("failed", name, "failed", "OSError: disk full"),
        ("training_ended", name, "failed", "OSError: disk full"),
        ("update", name, 0, {}, "failed"),
    ]
    assert monitor.messages == {name: ("failed", "OSError: disk full")}


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("tuning.errors.ChromatuneError: no such model", "no such model"),
        ("ValueError: \x1b[31mred", r"ValueError: \x1b[31mred"),
        ("data_prep.errors.DataError: no such file: x.png", "no such file: x.png"),
        ("models.errors.ModelError: unknown model", "unknown model"),
        ("ValueError: tuning.x: y", "ValueError: tuning.x: y"),
        (
            "torch.OutOfMemoryError: CUDA out of memory",
            "torch.OutOfMemoryError: CUDA out of memory",
        ),
    ],
)
def test_a_failure_is_told_with_the_file_of_its_traceback(
    line: str, told: str, journal: Journal
) -> None:
    monitor, name = journal.monitor(max_failures=1), journal.name
    logs = []
    for attempt in (name, f"{name}.2"):
        monitor.next()
        journal.notes.clear()
        monitor.trial_raised(name, f"Traceback\n  in {attempt}\n{line}\n")
        ((_, message),) = journal.taken("message")
        before, _, log = message.partition("; log: ")
        assert before.endswith(f": {told}")
        assert Path(log).read_text() == f"Traceback\n  in {attempt}\n{line}\n"
        logs.append(log)
    assert message.startswith(f"{name} failed: ")
    assert [Path(log).parent.name for log in logs] == [name, f"{name}.2"]
    assert monitor.messages == {name: ("failed", told)}


def test_a_divergence_is_a_failure_and_no_crash(journal: Journal) -> None:
    monitor, name = journal.monitor(), journal.name
    monitor.next()
    monitor.reported({**report(journal, 1, "diverged"), "message": "NaN"})
    monitor.trial_completed(name)
    assert journal.taken("failed", "training_ended", "requeue") == [
        ("failed", name, "diverged", "NaN"),
        ("training_ended", name, "diverged", "NaN"),
    ]
    assert monitor.messages == {name: ("diverged", "NaN")}


def test_a_pruned_trial_leaves_the_cell_of_its_best_epoch(journal: Journal, judged: Any) -> None:
    monitor, name = journal.monitor(), journal.name
    journal.stops_at = 4
    monitor.next()
    stopped: list[bool] = []

    def listen(each: Any) -> None:
        stopped.append(monitor.stops(each))
        monitor.reported(each)
        if stopped[-1]:
            judged.stop_at = len(judged.reports)

    judged.on_report = listen
    judged.run(journal.training)
    assert stopped.count(True) == 1
    assert monitor.was_stopped_early(name)
    journal.notes.clear()
    monitor.trial_completed(name)
    assert journal.notes == [
        ("ended", name),
        ("training_ended", name, "pruned", ""),
        ("update", name, 4, {}, "pruned"),
    ]
    cell = read_cell(judged.storage, name, journal.training.cells[0].cell_id)
    assert cell is not None
    assert cell.outcome == "pruned"
    assert [record["epoch"] for record in cell.history] == [1, 2, 3, 4]
    best = min(cell.history, key=lambda record: float(record["val_mse"]))
    assert (cell.kept_epoch, cell.metrics["val_mse"]) == (best["epoch"], best["val_mse"])


def test_the_last_score_of_a_trial_stops_nothing(journal: Journal) -> None:
    monitor = journal.monitor()
    journal.stops_at = 6
    monitor.next()
    assert not monitor.stops(report(journal, 6, "finished", score=0.5))
    assert journal.taken("observe") == [("observe", journal.name, 6, 0.5)]
    assert not monitor.was_stopped_early(journal.name)


@pytest.mark.parametrize("dies", [False, True])
def test_a_trial_that_was_to_be_stopped_is_not_pruned_if_it_died_or_left_nothing(
    dies: bool, journal: Journal
) -> None:
    monitor, name = journal.monitor(), journal.name
    journal.stops_at = 1
    monitor.next()
    assert monitor.stops(report(journal, 1, score=0.5))
    if dies:
        monitor.trial_raised(name, "killed")
        monitor.next()
        monitor.trial_started(name, 1.0, 0.0)
        assert not monitor.was_stopped_early(name)
    monitor.trial_completed(name)
    message = "it left no checkpoint that could be read"
    expected = ("ended", name) if dies else ("failed", name, "failed", message)
    assert journal.taken("ended", "failed") == [expected]


@pytest.mark.parametrize("epochs", [0, 3])
def test_a_launch_that_stops_keeps_the_best_of_running_search_trials(
    epochs: int, journal: Journal, judged: Any
) -> None:
    monitor, name = journal.monitor(), journal.name
    monitor.next()
    if epochs:
        judged.on_report = monitor.reported
        judged.stop_at = epochs
        judged.run(journal.training)
    journal.notes.clear()
    monitor.stopped()
    assert journal.notes == [("training_ended", name, "stopped", "")]
    cell = read_cell(judged.storage, name, journal.training.cells[0].cell_id)
    assert (cell is None) == (epochs == 0)
    if cell is not None:
        assert cell.outcome == "stopped"
        assert cell.last_epoch == epochs


def test_a_budget_ends_a_launch_once(journal: Journal) -> None:
    now = 0.0
    monitor = journal.monitor(limit=TimeLimit(60, clock=lambda: now))
    assert not monitor.is_time_to_stop()
    assert monitor.ended_by is None
    now = 60.0
    assert [monitor.is_time_to_stop() for _ in range(3)] == [True, False, False]
    assert monitor.ended_by == TIME_IS_UP


def test_devices_are_counted_while_trials_hold_them(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    for event in ("trial_began", "trial_ended", "save"):
        monkeypatch.setattr(TimeLimit, event, lambda _, *news, e=event: held.append((e, *news)))
    held: list[tuple[Any, ...]] = []
    monitor, name = journal.monitor(), journal.name
    for end in (lambda: monitor.trial_raised(name, "killed"), monitor.stopped):
        monitor.next()
        monitor.trial_started(name, 2.0, 0.25)
        end()
    once = [("trial_began", name, 2.0, 0.25), ("trial_ended", name)]
    assert held == [*once, *once, ("save",)]


def test_trials_take_the_places_that_were_shown_for_them(journal: Journal, make_small: Any) -> None:
    journal.waiting = [
        Assignment(make_small(6, lr=lr), is_new=new)
        for lr, new in ((1, True), (2, False), (3, True))
    ]
    first, _, unexpected = (each.training_id for each in journal.waiting)
    monitor = journal.monitor(placeholders=["trial 1"])
    while monitor.next() is not None:
        pass
    assert journal.notes == [
        ("rename", "trial 1", first, 6),
        ("rename", unexpected, unexpected, 6),
    ]
