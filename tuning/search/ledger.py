"""The trials of a search: Optuna suggests them, and their results are reported to it.

Study and launch folder agree even if the process is killed at any point: a trial is asked for
before its `training.json` is written, and a result is on disk before it is reported to Optuna.
`reconcile` completes interrupted steps.
"""

from __future__ import annotations

import dataclasses
from collections import deque
from collections.abc import Mapping, Sequence
from itertools import accumulate
from typing import Any, ClassVar

import optuna
from optuna.trial import FrozenTrial, TrialState, create_trial

from tuning.launch.attempts import last_error
from tuning.launch.checkpoint_choice import Assignment, next_attempt
from tuning.launch.folder import Launch
from tuning.launch.launch_json import TRAINING
from tuning.launch.records import (
    FINAL,
    CellRecord,
    FailureRecord,
    read_cell,
    read_failure,
    write_failure,
)
from tuning.launch.trainings import Cell, Training
from tuning.search.objectives import Objective
from tuning.search.plan import SearchPlan
from tuning.search.samplers import enqueue_grid_point, make_sampler, seed_of
from tuning.search.stopping import make_rule
from tuning.search.study import quiet
from tuning.search.study_checks import MARK


@dataclasses.dataclass
class Ledger:
    """The source of a search's trials, of which this launch runs `total`."""

    is_fixed: ClassVar[bool] = False

    launch: Launch
    study: optuna.Study
    plan: SearchPlan
    total: int

    def __post_init__(self) -> None:
        self._rule = make_rule(self.plan.search, self.plan.space.most_epochs)
        self._storage = self.launch.storage
        self._queued: deque[tuple[Training, optuna.Trial]] = deque()
        self._live: dict[str, tuple[Assignment, optuna.Trial]] = {}
        self._is_exhausted = False

    @property
    def live(self) -> Sequence[Assignment]:
        return [assignment for assignment, _ in self._live.values()]

    @property
    def is_over(self) -> bool:
        return not self._live and not self._queued and not self._left

    @property
    def _left(self) -> int:
        return 0 if self._is_exhausted else self.total - len(self._own_trials())

    def reconcile(self) -> None:
        """Report running trials of the study that have ended, and queue the others again."""
        with quiet():
            for count, frozen in enumerate(self._own_trials()):
                if frozen.state != TrialState.RUNNING:
                    continue
                # A process killed during a draw leaves a part of it: the rest has the same seed.
                self._seed_sampler(count)
                trial = optuna.Trial(self.study, frozen._trial_id)
                training = self._training_of(trial)
                cell, failure = self._cell(training), self._failure(training)
                if cell is not None and cell.outcome in FINAL:
                    self._tell_cell(trial, cell)
                elif failure is not None:
                    self._tell_failure(trial, failure.outcome, failure.message)
                else:
                    self._queued.append((training, trial))

    def next(self) -> Assignment | None:
        with quiet():
            if self._queued:
                training, trial = self._queued.popleft()
                assignment = next_attempt(self._storage, training)
            elif self._left > 0 and (asked := self._ask()) is not None:
                trial = asked
                assignment = Assignment(self._training_of(trial), is_new=True)
            else:
                return None
            trial.set_user_attr("outcome", "running")
        self._live[assignment.training_id] = (assignment, trial)
        return assignment

    def observe(self, training_id: str, epoch: int, score: float) -> bool:
        _, trial = self._live[training_id]
        self._take_in(trial, {epoch: score})
        trials = self.study.get_trials(deepcopy=False)
        own = self._signed(trials[trial.number])
        # A resumed trial was not stopped at the epochs that it repeats.
        if self._rule is None or epoch < max(own):
            return False
        others = (self._signed(other) for other in trials if other.number != trial.number)
        return self._rule.stops(own, others)

    def ended(self, training_id: str) -> None:
        assignment, trial = self._live.pop(training_id)
        cell = self._cell(assignment.training)
        assert cell is not None, "a trial ends after its cell is written"
        with quiet():
            self._tell_cell(trial, cell)

    def failed(self, training_id: str, outcome: str, message: str) -> None:
        assignment, trial = self._live.pop(training_id)
        if self._failure(assignment.training) is None:
            log = last_error(self._storage, training_id) if outcome == "failed" else ""
            failure = FailureRecord(outcome=outcome, message=message, log=log)
            write_failure(self._storage, training_id, failure)
        self._tell_failure(trial, outcome, message)

    def requeue(self, training_id: str) -> None:
        assignment, trial = self._live.pop(training_id)
        self._queued.appendleft((assignment.training, trial))

    def stopped(self) -> Sequence[Training]:
        # In Optuna they stay running until the search is resumed.
        for _, trial in self._live.values():
            trial.set_user_attr("outcome", "stopped")
        return [
            *(assignment.training for assignment in self.live),
            *(training for training, _ in self._queued),
        ]

    def _ask(self) -> optuna.Trial | None:
        own = self._own_trials()
        if self.plan.search.sampler == "grid" and not enqueue_grid_point(
            self.study, self.plan.space, self.launch.launch_id
        ):
            self._is_exhausted = True
            return None
        self._seed_sampler(len(own))
        mark = {MARK: self.launch.launch_id}
        if not any(self.study.get_trials(deepcopy=False, states=[TrialState.WAITING])):
            # So that a trial is marked from its beginning: `ask` takes what waits.
            self.study.add_trial(create_trial(state=TrialState.WAITING, user_attrs=mark))
        trial = self.study.ask()
        trial.set_user_attr(MARK, mark[MARK])  # another launch may have queued it
        return trial

    def _seed_sampler(self, count: int) -> None:
        self.study.sampler = make_sampler(self.plan.search, seed_of(self.plan.seed, count))

    def _training_of(self, trial: optuna.Trial) -> Training:
        """Return a trial's training from the launch folder; write it there if it is missing."""
        name = trial.user_attrs.get("training_id")
        if name is not None and self._storage.exists(f"{name}/{TRAINING}"):
            return Training.from_dict(self._storage.read_json(f"{name}/{TRAINING}"))
        fit = self.plan.space.fit_config(self.plan.space.sample(trial))
        name = f"{trial.number:04d}-{fit.model}-{fit.head}"
        training = Training(name, fit, (Cell(name, fit.epochs),))
        trial.set_user_attr("training_id", name)
        self._storage.write_json(
            f"{name}/{TRAINING}", {**training.to_dict(), "trial": trial.number}
        )
        return training

    def _own_trials(self) -> list[FrozenTrial]:
        """The trials that this launch has begun, which are marked."""
        return [
            trial
            for trial in self.study.get_trials(deepcopy=False)
            if trial.user_attrs.get(MARK) == self.launch.launch_id
            and trial.state != TrialState.WAITING
        ]

    def _take_in(self, trial: optuna.Trial, scores: Mapping[int, float]) -> None:
        """Store the scores that the study does not have yet."""
        known = self._scores(self.study.get_trials(deepcopy=False)[trial.number])
        new = {epoch: score for epoch, score in scores.items() if epoch not in known}
        if len(self.plan.objectives) == 1:
            for epoch, score in new.items():
                trial.report(score, epoch)
        elif new:  # Optuna takes no intermediate values of several objectives
            trial.set_user_attr("scores", {**known, **new})

    def _scores(self, trial: FrozenTrial) -> dict[int, float]:
        """The best value of the first objective until each epoch that was validated."""
        several = len(self.plan.objectives) > 1
        stored = trial.user_attrs.get("scores", {}) if several else trial.intermediate_values
        # JSON has no numbers as keys.
        return {int(epoch): score for epoch, score in stored.items()}

    def _signed(self, trial: FrozenTrial) -> dict[int, float]:
        """The same, where larger values are better."""
        sign = self.plan.objectives[0].sign
        return {epoch: sign * score for epoch, score in self._scores(trial).items()}

    def _cell(self, training: Training) -> CellRecord | None:
        return read_cell(self._storage, training.training_id, training.cells[0].cell_id)

    def _failure(self, training: Training) -> FailureRecord | None:
        return read_failure(self._storage, training.training_id)

    def _tell_cell(self, trial: optuna.Trial, cell: CellRecord) -> None:
        values = [cell.values[objective.name] for objective in self.plan.objectives]
        trial.set_user_attr("outcome", cell.outcome)
        trial.set_user_attr("kept_epoch", cell.kept_epoch)
        trial.set_user_attr("figures", cell.values)
        # The trial may have been killed before its last report.
        self._take_in(trial, _best_so_far(cell.history, self.plan.objectives[0]))
        if cell.outcome == "finished":
            self.study.tell(trial, values)
        else:
            # With one objective its value is the last score.
            self.study.tell(trial, state=TrialState.PRUNED)

    def _tell_failure(self, trial: optuna.Trial, outcome: str, message: str) -> None:
        trial.set_user_attr("outcome", outcome)
        trial.set_user_attr("message", message)
        self.study.tell(trial, state=TrialState.FAIL)


def _best_so_far(history: Sequence[Mapping[str, Any]], objective: Objective) -> dict[int, float]:
    scored = [record for record in history if objective.name in record]
    values = (record[objective.name] for record in scored)
    best = accumulate(values, max if objective.maximize else min)
    return {record["epoch"]: score for record, score in zip(scored, best, strict=True)}
