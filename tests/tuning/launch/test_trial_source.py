"""What both sources of trials promise: fixed trials, and a search's suggestions."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from optuna.storages.journal import JournalFileBackend
from optuna.trial import TrialState

from tests.records import leave_cell
from tuning.config.schema import TrainingConfig
from tuning.config.search import SearchConfig, SearchLaunchConfig
from tuning.launch.attempts import attempt_folder
from tuning.launch.checkpoint_choice import Assignment
from tuning.launch.folder import Launch
from tuning.launch.outcomes import cell_outcomes, has_ended
from tuning.launch.records import FailureRecord, write_failure
from tuning.launch.storage import LaunchStorage
from tuning.launch.trainings import Training
from tuning.launch.trial_source import FixedTrials, TrialSource
from tuning.search.confirmation import ConfirmedSearch
from tuning.search.ledger import Ledger
from tuning.search.plan import SearchPlan, plan_search
from tuning.search.study import open_study
from tuning.training.checkpoint_files import write_state

COUNT = 3
SPACE = {
    "model": "fc",
    "head": "tanh",
    "epochs": 3,
    "lr": {"type": "float", "low": 0.001, "high": 1},
}


@functools.cache
def _plan(confirm: str | None = None) -> SearchPlan:
    search = SearchConfig(space=SPACE, sampler="random", scheduler="none", confirm=confirm)
    config = SearchLaunchConfig(search=search, training=TrainingConfig(seed=3))
    return plan_search("regression", config, image_size=64)


class Killed(BaseException):
    """Ends a process in the middle, as `kill -9` does."""


@dataclasses.dataclass
class Place:
    """A launch folder, and the source of its trials as each new process opens it."""

    folder: Path
    trainings: list[Training] | None
    confirm: str | None = None

    def __post_init__(self) -> None:
        documents = [training.to_dict() for training in self.trainings or []]
        kind = "search" if self.trainings is None else "grid"
        document = {"launch_id": "launch-1", "task": "regression", "kind": kind}
        self.storage = LaunchStorage(self.folder)
        self.storage.create()
        self.launch = Launch(self.storage, {**document, "trainings": documents})

    def open(self) -> TrialSource:
        if self.trainings is not None:
            return FixedTrials(self.launch)
        self.study = open_study(
            *(str(self.folder / "study.journal"), "launch-1", _plan().objectives),
            {"task": "regression"},
            launch_id="launch-1",
        )
        ledger = Ledger(self.launch, self.study, _plan(self.confirm), total=COUNT)
        ledger.reconcile()
        return ConfirmedSearch(ledger) if self.confirm else ledger

    def begin(self, assignment: Assignment, epoch: int = 0) -> None:
        """Leave what a trial leaves that has reached `epoch`."""
        folder = attempt_folder(assignment.training_id, assignment.attempt)
        self.storage.write_json(f"{folder}/begun.json", {})
        if epoch:
            checkpoint = self.folder / folder / f"checkpoint_{epoch:06}"
            checkpoint.mkdir()
            files = dict.fromkeys(("model", "optimizer"), "0" * 64)
            state = {"training": {}, "dataset_digest": "", "history": [], "epoch": epoch}
            write_state(checkpoint, {**state, "files": files})

    def finish(self, training: Training) -> None:
        """Leave the cells of a trial that has ended."""
        for cell in training.cells:
            leave_cell(
                *(self.storage, training.training_id, cell.cell_id),
                metrics={"val_mse": training.fit.lr},
                history=[{"epoch": epoch} for epoch in range(1, cell.epochs + 1)],
                kept_epoch=cell.epochs,
            )

    def outcomes(self) -> dict[str, str]:
        return {cell.cell_id: cell.outcome for cell in cell_outcomes(self.launch)}


@pytest.fixture(params=["fixed", "search"])
def make_place(
    request: pytest.FixtureRequest, tmp_path: Path, make_small: Callable[..., Training]
) -> Callable[[], Place]:
    numbers = iter(range(1000))

    def make() -> Place:
        rates = range(1, COUNT + 1)
        trainings = [make_small(2, 3, lr=lr * 1e-3) for lr in rates]
        fixed = request.param == "fixed"
        confirm = "2x2" if request.param == "confirmed" else None
        return Place(tmp_path / f"launch-{next(numbers)}", trainings if fixed else None, confirm)

    return make


@pytest.fixture
def place(make_place: Callable[[], Place]) -> Place:
    return make_place()


def all_of(source: TrialSource) -> list[Assignment]:
    found = []
    while (assignment := source.next()) is not None:
        found.append(assignment)
    return found


def test_everything_is_handed_out_exactly_once(place: Place) -> None:
    source = place.open()
    assert not source.is_over
    assignments = all_of(source)
    assert len({assignment.training_id for assignment in assignments}) == COUNT
    assert {assignment.attempt for assignment in assignments} == {1}
    assert list(source.live) == assignments
    assert all(one.is_new is not source.is_fixed for one in assignments)
    for assignment in assignments:
        assert not source.is_over
        place.finish(assignment.training)
        source.ended(assignment.training_id)
        assert assignment not in source.live
    assert source.is_over
    assert source.next() is None
    assert place.open().is_over
    assert set(place.outcomes().values()) == {"finished"}


def test_a_requeued_training_comes_next_and_resumes_from_its_checkpoints(place: Place) -> None:
    source = place.open()
    first, second = source.next(), source.next()
    assert first is not None
    assert second is not None
    place.begin(first, epoch=1)
    source.requeue(first.training_id)
    assert list(source.live) == [second]
    again = source.next()
    checkpoint = f"{first.training_id}/checkpoint_000001"
    assert again == Assignment(first.training, 2, (checkpoint,), is_new=False)
    assert again in source.live
    # Its trial dies after the last cell and before the report of it.
    place.begin(again, epoch=1)
    place.finish(again.training)
    source.requeue(again.training_id)
    last = source.next()
    assert last is not None
    assert (last.training, last.attempt) == (first.training, 3)
    source.ended(last.training_id)
    assert last not in source.live


def test_what_has_failed_is_over_for_this_process(place: Place) -> None:
    source = place.open()
    for assignment in all_of(source):
        place.begin(assignment)
        source.failed(assignment.training_id, "failed", "out of memory")
    assert source.is_over
    assert not source.live
    # A later process tries fixed trials again; a search has a result of each trial, once.
    again = place.open()
    assert again.is_over is not again.is_fixed


def test_what_has_diverged_is_over_for_good(place: Place) -> None:
    source = place.open()
    for assignment in all_of(source):
        failure = FailureRecord(outcome="diverged", message="NaN")
        write_failure(place.storage, assignment.training_id, failure)
        source.failed(assignment.training_id, "diverged", "NaN")
    assert place.open().is_over
    assert set(place.outcomes().values()) == {"diverged"}


def test_a_new_process_resumes_what_the_last_one_left(place: Place) -> None:
    source = place.open()
    finished, begun = source.next(), source.next()
    assert finished is not None
    assert begun is not None
    place.finish(finished.training)  # and nobody took note of it
    place.begin(begun, epoch=1)
    source.stopped()
    source = place.open()
    left = all_of(source)
    assert len(left) == COUNT - 1
    assert left[0].training == begun.training
    assert left[0].attempt == 2
    assert left[0].checkpoints == (f"{begun.training_id}/checkpoint_000001",)
    assert finished.training_id not in {assignment.training_id for assignment in left}


def test_trials_that_stop_with_the_launch_keep_their_best_where_that_counts(place: Place) -> None:
    source = place.open()
    first = source.next()
    assert first is not None
    unfinished = source.stopped()
    assert list(unfinished) == ([] if source.is_fixed else [(first.training, "stopped")])


@pytest.mark.parametrize("make_place", ["fixed", "search", "confirmed"], indirect=True)
def test_a_process_killed_between_any_two_steps_loses_and_repeats_nothing(
    make_place: Callable[[], Place], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Steps are the writes to launch folder and study; before each of them once."""
    fuse: list[int] = []

    def guarded(write: Callable[..., None]) -> Callable[..., None]:
        def step(*args: Any, **kwargs: Any) -> None:
            if fuse:
                fuse[0] -= 1
                if fuse[0] < 0:
                    raise Killed
            write(*args, **kwargs)

        return step

    monkeypatch.setattr(LaunchStorage, "write_json", guarded(LaunchStorage.write_json))
    monkeypatch.setattr(JournalFileBackend, "append_logs", guarded(JournalFileBackend.append_logs))
    undisturbed = make_place()
    _run(undisturbed, [])
    expected, kills = undisturbed.outcomes(), 0
    assert sorted(expected.values()).count("diverged") == len(expected) // COUNT
    if undisturbed.confirm:
        names = [name for name in expected if name.endswith("-seed4")]
        assert [name[:4] for name in names] == ["0000", "0002"]  # 0001 has diverged
        assert len(expected) == COUNT + 2
    while True:
        place, begun = make_place(), []
        fuse[:] = [kills]
        try:
            _run(place, begun)
        except Killed:
            fuse.clear()
            _run(place, begun)
        else:
            break
        kills += 1
        assert place.outcomes() == expected
        assert len(begun) == len(set(begun)), "two attempts share a folder"
        assert place.open().is_over
        if place.trainings is None:
            states = [trial.state for trial in place.study.trials]
            assert len(states) == COUNT
            assert states.count(TrialState.COMPLETE) == COUNT - 1
            rates = [trial.params for trial in place.study.trials]
            assert rates == [trial.params for trial in undisturbed.study.trials]
    assert kills > 2 * COUNT


def _run(place: Place, begun: list[tuple[str, int]]) -> None:
    """A process: every training ends, the second handed out diverges, the first dies once."""
    source = place.open()
    names = sorted(training.training_id for training in place.trainings or [])
    while (assignment := source.next()) is not None:
        training_id = assignment.training_id
        number = names.index(training_id) if names else int(training_id[:4])
        assert not has_ended(place.storage, assignment.training), "trained again"
        place.begin(assignment)
        begun.append((training_id, assignment.attempt))
        if number == 0 and assignment.attempt == 1:
            source.requeue(training_id)
        elif number == 1:
            failure = FailureRecord(outcome="diverged", message="NaN")
            write_failure(place.storage, training_id, failure)
            source.failed(training_id, "diverged", "NaN")
        else:
            source.observe(training_id, 2, 0.5)
            place.finish(assignment.training)
            source.ended(training_id)
    assert source.is_over
