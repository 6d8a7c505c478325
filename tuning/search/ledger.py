"""The ledger of a search: hands out trainings, and tells Optuna what became of them.

Study and launch folder are kept in step by an order that survives being killed at any point: a
trial is asked for before its `training.json` is written, and what has ended is on disk before
Optuna is told. `reconcile` does whatever was left undone.
"""

from __future__ import annotations

import dataclasses
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState

from tuning.config.search import MUTABLE, SearchConfig
from tuning.launch.attempts import attempts_at, newest_first
from tuning.launch.folder import TRAINING, Launch
from tuning.launch.trainings import Cell, Training
from tuning.search.grid_points import enqueue_grid_point
from tuning.search.objectives import Objective, figures
from tuning.search.samplers import make_sampler, seed_of
from tuning.search.space import Space
from tuning.search.study import quiet

_ENDED = ("finished", "pruned")


@dataclasses.dataclass(frozen=True)
class HandOut:
    """A training for a trial of Ray's: what to train, from which checkpoints on (newest first).

    `attempt` counts from 1 how often it was handed out; `gpus` is its share of GPUs where that is
    no longer what its network alone would say.
    """

    training: Training
    number: int
    attempt: int = 1
    checkpoints: tuple[str, ...] = ()
    gpus: float | None = None


class Ledger:
    """One search's trials: `total` of them are this launch's own.

    Not for several threads at once.
    """

    def __init__(
        self,
        launch: Launch,
        study: optuna.Study,
        space: Space,
        objectives: Sequence[Objective],
        search: SearchConfig,
        seed: int,
        total: int,
    ) -> None:
        self._launch = launch
        self._storage = launch.storage
        self._study = study
        self._space = space
        self._objectives = objectives
        self._search = search
        self._seed = seed
        self._total = total
        self._again: deque[HandOut] = deque()
        self._live: dict[str, tuple[HandOut, optuna.Trial]] = {}
        self._is_exhausted = False

    @property
    def study(self) -> optuna.Study:
        """The study that it keeps."""
        return self._study

    @property
    def live(self) -> list[HandOut]:
        """What is handed out and has not ended."""
        return [hand_out for hand_out, _ in self._live.values()]

    @property
    def is_over(self) -> bool:
        """Whether nothing is handed out and nothing is left to hand out."""
        return not self._live and not self._again and not self._left

    @property
    def _left(self) -> int:
        return 0 if self._is_exhausted else self._total - len(self._own_trials())

    def reconcile(self) -> None:
        """Take up the trials that Optuna has as running: tell what has ended, queue the rest."""
        with quiet():
            for count, frozen in enumerate(self._own_trials()):
                if frozen.state != TrialState.RUNNING:
                    continue
                # One that was killed while it was drawn is drawn to the end as it was begun.
                self._seed_sampler(count)
                trial = optuna.Trial(self._study, frozen._trial_id)
                training = self._written_down(trial)
                hand_out = HandOut(training, frozen.number)
                cell = self._cell(training)
                failure = self._failure(training)
                if cell.get("outcome") in _ENDED:
                    self._tell_cell(trial, cell)
                elif failure:
                    self._tell_failure(trial, failure["outcome"], failure["message"])
                else:
                    self._again.append(self._next_attempt(hand_out))

    def next(self) -> HandOut | None:
        """Hand out the next training: one that was begun, or a new one; None if there is none."""
        with quiet():
            if self._again:
                hand_out = self._again.popleft()
                frozen = self._frozen(hand_out.number)
                trial = optuna.Trial(self._study, frozen._trial_id)
            elif self._left > 0 and (asked := self._ask()) is not None:
                trial = asked
                hand_out = HandOut(self._written_down(trial), trial.number)
            else:
                return None
            trial.set_user_attr("outcome", "running")
        self._live[hand_out.training.training_id] = (hand_out, trial)
        return hand_out

    def observe(self, training_id: str, epoch: int, score: float | None) -> None:
        """Take in the best value so far, which is that of the state a trial would leave."""
        _, trial = self._live[training_id]
        if score is None or len(self._objectives) > 1:
            return  # Optuna takes no values on the way of several objectives
        if epoch not in self._frozen(trial.number).intermediate_values:
            trial.report(score, epoch)

    def ended(self, training_id: str) -> None:
        """Tell Optuna of a cell that is in the launch folder."""
        hand_out, trial = self._live.pop(training_id)
        with quiet():
            self._tell_cell(trial, self._cell(hand_out.training))

    def failed(self, training_id: str, outcome: str, message: str) -> None:
        """Tell Optuna that a training diverged or failed; the folder has it already, or gets it."""
        hand_out, trial = self._live.pop(training_id)
        if self._failure(hand_out.training) is None:
            self._storage.write_json(
                f"{training_id}/failed.json",
                {"outcome": outcome, "message": message, "history": []},
            )
        self._tell_failure(trial, outcome, message)

    def again(self, training_id: str, gpus: float) -> None:
        """Hand the training out once more, with a larger share of GPUs."""
        hand_out, _ = self._live.pop(training_id)
        self._again.append(dataclasses.replace(self._next_attempt(hand_out), gpus=gpus))

    def stopped(self) -> list[HandOut]:
        """Note what is left unfinished: Optuna keeps it as running until it is gone on with."""
        for _, trial in self._live.values():
            trial.set_user_attr("outcome", "stopped")
        return [*self.live, *self._again]

    def _ask(self) -> optuna.Trial | None:
        own = self._own_trials()
        if self._search.sampler == "grid" and not enqueue_grid_point(self._study, self._space):
            self._is_exhausted = True
            return None
        self._seed_sampler(len(own))
        trial = self._study.ask()
        # At once: it is what tells that the trial is ours.
        trial.set_user_attr("launch_id", self._launch.launch_id)
        return trial

    def _seed_sampler(self, count: int) -> None:
        self._study.sampler = make_sampler(self._search, seed_of(self._seed, count))

    def _written_down(self, trial: optuna.Trial) -> Training:
        """Return a trial's training as it is in the folder; write it there if it is not."""
        name = trial.user_attrs.get("training_id")
        if name is not None and self._storage.exists(f"{name}/{TRAINING}"):
            return Training.from_dict(self._storage.read_json(f"{name}/{TRAINING}"))
        fit = self._space.fit_config(self._space.sample(trial))
        name = f"{trial.number:04d}-{fit.model}-{fit.head}"
        training = Training(name, fit, (Cell(name, fit.epochs),))
        trial.set_user_attr("training_id", name)
        self._storage.write_json(
            f"{name}/{TRAINING}", {**training.to_dict(), "trial": trial.number}
        )
        return training

    def _next_attempt(self, hand_out: HandOut) -> HandOut:
        training = hand_out.training
        checkpoints = newest_first(self._storage, training.training_id)
        if checkpoints:
            changed = {name: checkpoints[0].training[name] for name in MUTABLE}
            fit = dataclasses.replace(training.fit, **changed)
            training = dataclasses.replace(training, fit=fit)
        attempts = attempts_at(self._storage, training.training_id)
        return dataclasses.replace(
            hand_out,
            training=training,
            attempt=1 + max(hand_out.attempt, *attempts),
            checkpoints=tuple(checkpoint.path for checkpoint in checkpoints),
        )

    def _own_trials(self) -> list[FrozenTrial]:
        """Trials of this launch; one that was killed before it was marked is ours if all are."""
        states = tuple(state for state in TrialState if state != TrialState.WAITING)
        trials = self._study.get_trials(deepcopy=False, states=states)
        mine = self._launch.launch_id
        asked = [trial for trial in trials if "known" not in trial.user_attrs]
        shared = any(trial.user_attrs.get("launch_id", mine) != mine for trial in asked)
        return [t for t in asked if t.user_attrs.get("launch_id", None if shared else mine) == mine]

    def _frozen(self, number: int) -> FrozenTrial:
        return self._study.get_trials(deepcopy=False)[number]

    def _cell(self, training: Training) -> dict[str, Any]:
        path = f"{training.training_id}/cells/{training.cells[0].cell_id}/cell.json"
        return self._storage.read_json(path) if self._storage.exists(path) else {}

    def _failure(self, training: Training) -> dict[str, Any] | None:
        path = f"{training.training_id}/failed.json"
        return self._storage.read_json(path) if self._storage.exists(path) else None

    def _tell_cell(self, trial: optuna.Trial, cell: Mapping[str, Any]) -> None:
        has = figures(cell)
        values = [has[objective.name] for objective in self._objectives]
        trial.set_user_attr("outcome", cell["outcome"])
        trial.set_user_attr("kept_epoch", cell["kept_epoch"])
        trial.set_user_attr("figures", has)
        if cell["outcome"] == "finished":
            self._study.tell(trial, values)
            return
        # Of a pruned trial Optuna takes the last value on its way, of several objectives none.
        last = cell["history"][-1]["epoch"]
        self._report_until(trial, last, values[0])
        self._study.tell(trial, state=TrialState.PRUNED)

    def _report_until(self, trial: optuna.Trial, epoch: int, score: float) -> None:
        if len(self._objectives) == 1:
            known = self._frozen(trial.number).intermediate_values
            if max(known, default=0) < epoch or known[max(known)] != score:
                trial.report(score, max(epoch, max(known, default=0) + 1))

    def _tell_failure(self, trial: optuna.Trial, outcome: str, message: str) -> None:
        trial.set_user_attr("outcome", outcome)
        trial.set_user_attr("message", message)
        self._study.tell(trial, state=TrialState.FAIL)
