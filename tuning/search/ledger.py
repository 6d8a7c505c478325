"""The trials of a search: Optuna suggests them, and their results are reported to it.

Study and launch folder agree even if the process is killed at any point: a trial is asked for
before its `training.json` is written, and a result is on disk before it is reported to Optuna.
`reconcile` completes interrupted steps.
"""

from __future__ import annotations

import dataclasses
from collections import deque
from collections.abc import Mapping, Sequence
from typing import ClassVar

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
from tuning.launch.trial_source import Verdict
from tuning.search.objectives import best_so_far
from tuning.search.plan import SearchPlan
from tuning.search.promotion import Trained
from tuning.search.rung_sampler import make_space_sampler, startup_trials
from tuning.search.samplers import enqueue_grid_point, seed_of
from tuning.search.stopping import is_stagnant, make_promotion, make_rule, rungs
from tuning.search.study import quiet
from tuning.search.study_checks import MARK, is_marked, is_point
from tuning.search.trained import fit_of, scores, signed_scores, trained
from tuning.training.config import FitConfig


@dataclasses.dataclass
class Ledger:
    """The source of a search's trials, of which this launch runs `total`.

    Stagnation is counted from the trial after `since` others on.
    """

    is_fixed: ClassVar[bool] = False

    launch: Launch
    study: optuna.Study
    plan: SearchPlan
    total: int
    since: int = 0

    def __post_init__(self) -> None:
        longest = self.plan.space.most_epochs
        self._rule = make_rule(self.plan.search, longest)
        self._promotion = make_promotion(self.plan.search, longest)
        self._rungs = tuple(rungs(self.plan.search, longest))
        self._storage = self.launch.storage
        self._queued: deque[tuple[Training, optuna.Trial]] = deque()
        self._paused: dict[int, tuple[Training, optuna.Trial]] = {}
        self._pauses_at: dict[str, int] = {}
        self._fits: dict[int, FitConfig] = {}
        self._live: dict[str, tuple[Assignment, optuna.Trial]] = {}
        self._is_exhausted = False

    @property
    def live(self) -> Sequence[Assignment]:
        return [assignment for assignment, _ in self._live.values()]

    @property
    def is_over(self) -> bool:
        return not (self._live or self._queued or self._paused or self._left)

    @property
    def _left(self) -> int:
        if self._is_exhausted or self.is_stagnant:
            return 0
        return self.total - len(self._own_trials())

    @property
    def is_stagnant(self) -> bool:
        """Whether no more trials begin, because too many have not improved the best score."""
        patience, least = self.plan.search.max_stagnation_trials, self.plan.search.min_improvement
        if patience is None:
            return False
        trials = self.study.get_trials(deepcopy=False)
        counted = [t for t in trials if is_marked(t) and t.state != TrialState.FAIL]
        scores = {t.number: max(own.values()) for t in counted if (own := self._signed(t))}
        news = [trial.number for trial in self._own_trials()[self.since :]]
        return is_stagnant(scores, news, patience, least)

    def reconcile(self) -> None:
        """Report running trials of the study that have ended; pause or queue the others again."""
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
                elif self._is_at_pause(frozen):
                    self._paused[frozen.number] = (training, trial)
                else:
                    self._queued.append((training, trial))

    def next(self) -> Assignment | None:
        with quiet():
            if self._queued:
                training, trial = self._queued.popleft()
                assignment = next_attempt(self._storage, training)
            elif (promoted := self._promoted()) is not None:
                training, trial = promoted
                assignment = next_attempt(self._storage, training)
            elif self._left > 0 and (asked := self._ask()) is not None:
                trial = asked
                assignment = Assignment(self._training_of(trial), is_new=True)
            else:
                return None
            trial.set_user_attr("outcome", "running")
        name = assignment.training_id
        if self._promotion is not None and name not in self._pauses_at:
            frozen = self.study.get_trials(deepcopy=False)[trial.number]
            self._pauses_at[name] = self._promotion.next_rung(self._trained(frozen))
        self._live[name] = (assignment, trial)
        return assignment

    def observe(self, training_id: str, epoch: int, score: float) -> Verdict:
        assignment, trial = self._live[training_id]
        self._take_in(trial, {epoch: score})
        if epoch >= self._pauses_at.get(training_id, assignment.training.epochs):
            return "pause" if epoch < assignment.training.epochs else "train"
        trials = self.study.get_trials(deepcopy=False)
        own = self._signed(trials[trial.number])
        # A resumed trial was not stopped at the epochs that it repeats.
        if self._rule is None or epoch < max(own):
            return "train"
        others = (
            self._signed(other)
            for other in trials
            if other.number != trial.number and is_marked(other)
        )
        return "stop" if self._rule.stops(own, others) else "train"

    def paused(self, training_id: str) -> None:
        assignment, trial = self._live.pop(training_id)
        trial.set_user_attr("outcome", "paused")
        del self._pauses_at[training_id]
        self._paused[trial.number] = (assignment.training, trial)

    def ended(self, training_id: str) -> None:
        if training_id in self._live:
            assignment, trial = self._live.pop(training_id)
            training = assignment.training
        else:
            number = next(n for n, (t, _) in self._paused.items() if t.training_id == training_id)
            training, trial = self._paused.pop(number)
        cell = self._cell(training)
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

    def stopped(self) -> Sequence[tuple[Training, str]]:
        # In Optuna they stay running until the search is resumed.
        for _, trial in self._live.values():
            trial.set_user_attr("outcome", "stopped")
        unfinished = [assignment.training for assignment in self.live]
        unfinished += [training for training, _ in self._queued]
        paused = [training for training, _ in self._paused.values()]
        is_over = not unfinished and not self._left and self._chosen() is None
        outcome = "pruned" if is_over else "stopped"
        return [*((each, "stopped") for each in unfinished), *((each, outcome) for each in paused)]

    def _promoted(self) -> tuple[Training, optuna.Trial] | None:
        """Take the paused trial that goes on."""
        number = self._chosen()
        return None if number is None else self._paused.pop(number)

    def _chosen(self) -> int | None:
        if self._promotion is None or not self._paused:
            return None
        trials = self._all_trained()
        chosen = self._promotion.choose(trials)
        if chosen is None and self._left <= 0:
            chosen = self._promotion.choose(trials, finishes=True)
        return None if chosen is None else chosen.number

    def _all_trained(self) -> list[Trained]:
        """Every trial with scores, also those known from elsewhere; none of another program."""
        trials = self.study.get_trials(deepcopy=False)
        return [self._trained(each) for each in trials if is_marked(each) and self._signed(each)]

    def _trained(self, trial: FrozenTrial) -> Trained:
        assert self._promotion is not None
        is_paused = trial.number in self._paused
        return trained(trial, self._fit_of(trial), self.plan, self._promotion, is_paused=is_paused)

    def _fit_of(self, trial: FrozenTrial) -> FitConfig:
        if trial.number not in self._fits:
            self._fits[trial.number] = fit_of(trial, self.plan)
        return self._fits[trial.number]

    def _is_at_pause(self, trial: FrozenTrial) -> bool:
        """Whether a trial's last score is that of a rung at which it pauses."""
        # One that was killed while it was drawn has no scores, and lacks parameters.
        if self._promotion is None or not (reached := scores(trial, self.plan)):
            return False
        last = max(reached)
        return self._promotion.pauses_at(self._trained(trial), last)

    def _ask(self) -> optuna.Trial | None:
        own = self._own_trials()
        if self.plan.search.sampler == "grid" and not enqueue_grid_point(
            self.study, self.plan.space, self.launch.launch_id
        ):
            self._is_exhausted = True
            return None
        self._seed_sampler(len(own))
        mark = {MARK: self.launch.launch_id}
        while True:
            if not any(self.study.get_trials(deepcopy=False, states=[TrialState.WAITING])):
                # So that a trial is marked from its beginning: `ask` takes what waits.
                self.study.add_trial(create_trial(state=TrialState.WAITING, user_attrs=mark))
            trial = self.study.ask()
            frozen = self.study.get_trials(deepcopy=False)[trial.number]
            if is_marked(frozen) or is_point(frozen, self.plan.space):
                break
            self.study.tell(trial, state=TrialState.FAIL)  # queued meanwhile by another program
        trial.set_user_attr(MARK, mark[MARK])  # another launch may have queued it
        return trial

    def _seed_sampler(self, count: int) -> None:
        search, space = self.plan.search, self.plan.space
        sign = self.plan.objectives[0].sign
        if self._promotion is None:
            ended = self.study.get_trials(deepcopy=False, states=[TrialState.COMPLETE])
            values = {t.number: sign * t.values[0] for t in ended if is_marked(t)}
        else:
            start = startup_trials(search, space.parameters)
            values = self._promotion.comparable(self._all_trained(), start)
        seed = seed_of(self.plan.seed, count)
        self.study.sampler = make_space_sampler(search, seed, space, values, sign)

    def _training_of(self, trial: optuna.Trial) -> Training:
        """Return a trial's training from the launch folder; write it there if it is missing."""
        name = trial.user_attrs.get("training_id")
        if name is not None and self._storage.exists(f"{name}/{TRAINING}"):
            return Training.from_dict(self._storage.read_json(f"{name}/{TRAINING}"))
        fit = self.plan.space.fit_config(self.plan.space.sample(trial))
        at = tuple(rung for rung in self._rungs if rung < fit.epochs)
        fit = dataclasses.replace(fit, validate_at=at)
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

    def _take_in(self, trial: optuna.Trial, told: Mapping[int, float]) -> None:
        """Store the scores that the study does not have yet."""
        known = scores(self.study.get_trials(deepcopy=False)[trial.number], self.plan)
        new = {epoch: score for epoch, score in told.items() if epoch not in known}
        if len(self.plan.objectives) == 1:
            for epoch, score in new.items():
                trial.report(score, epoch)
        elif new:  # Optuna takes no intermediate values of several objectives
            trial.set_user_attr("scores", {**known, **new})

    def _signed(self, trial: FrozenTrial) -> dict[int, float]:
        return signed_scores(trial, self.plan)

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
        self._take_in(trial, best_so_far(cell.history, self.plan.objectives[0]))
        if cell.outcome == "finished":
            self.study.tell(trial, values)
        else:
            # With one objective its value is the last score.
            self.study.tell(trial, state=TrialState.PRUNED)

    def _tell_failure(self, trial: optuna.Trial, outcome: str, message: str) -> None:
        trial.set_user_attr("outcome", outcome)
        trial.set_user_attr("message", message)
        self.study.tell(trial, state=TrialState.FAIL)
