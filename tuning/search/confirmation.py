"""The best configurations of a search, trained again with other seeds.

The best score of a search is partly luck: the seed of one training. After its trials the best
configurations are trained with several seeds, and the mean decides.
"""

from __future__ import annotations

import dataclasses
import statistics
from collections.abc import Mapping, Sequence
from typing import ClassVar

import numpy as np
import numpy.typing as npt
import optuna
from optuna.trial import FrozenTrial, TrialState

from tuning.launch.checkpoint_choice import Assignment
from tuning.launch.folder import Launch
from tuning.launch.launch_json import TRAINING, read_trainings
from tuning.launch.records import CellRecord, read_cell
from tuning.launch.trainings import Cell, Training
from tuning.launch.trial_source import FixedTrials, Verdict
from tuning.search.ledger import Ledger
from tuning.search.objectives import Objective
from tuning.search.study_checks import MARK

_FLIPS = 10_000
_FLIPPED_AT_ONCE = 1000
Floats = npt.NDArray[np.float64]


class ConfirmedSearch:
    """The source of a search's trials, and then of those that confirm the best of them.

    What is confirmed follows from the study alone, and is written down before it is trained: a
    process that was killed is followed by one that trains the same.
    """

    is_fixed: ClassVar[bool] = False

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._again: FixedTrials | None = None
        self._new: set[str] = set()

    @property
    def live(self) -> Sequence[Assignment]:
        return [*self._ledger.live, *(self._again.live if self._again else ())]

    @property
    def is_over(self) -> bool:
        return self._ledger.is_over and self._begin().is_over

    def next(self) -> Assignment | None:
        if self._again is None:
            assignment = self._ledger.next()
            # Whatever runs may become one of the best.
            if assignment is not None or self._ledger.live:
                return assignment
        again = self._begin().next()
        if again is None or again.training_id not in self._new:
            return again
        self._new.remove(again.training_id)
        return dataclasses.replace(again, is_new=True)

    def observe(self, training_id: str, epoch: int, score: float) -> Verdict:
        return self._source(training_id).observe(training_id, epoch, score)

    def ended(self, training_id: str) -> None:
        self._source(training_id).ended(training_id)

    def paused(self, training_id: str) -> None:
        self._source(training_id).paused(training_id)

    def failed(self, training_id: str, outcome: str, message: str) -> None:
        self._source(training_id).failed(training_id, outcome, message)

    def requeue(self, training_id: str) -> None:
        self._source(training_id).requeue(training_id)

    def stopped(self) -> Sequence[tuple[Training, str]]:
        return self._ledger.stopped()

    def _source(self, training_id: str) -> Ledger | FixedTrials:
        again = self._again
        is_again = again is not None and training_id in [each.training_id for each in again.live]
        return again if again is not None and is_again else self._ledger

    def _begin(self) -> FixedTrials:
        if self._again is None:
            ledger, trainings = self._ledger, []
            storage = ledger.launch.storage
            for number, training in _confirming(ledger):
                path = f"{training.training_id}/{TRAINING}"
                if not storage.exists(path):
                    storage.write_json(path, {**training.to_dict(), "confirms": number})
                    self._new.add(training.training_id)
                trainings.append(training)
            self._again = FixedTrials(ledger.launch, trainings)
        return self._again


def _confirming(ledger: Ledger) -> list[tuple[int, Training]]:
    """The trainings that confirm the best trials, each with the number of its trial.

    A trial that was trained to its end is itself the training of its seed.
    """
    launch, plan = ledger.launch, ledger.plan
    best, seeds = plan.search.confirmed
    found = []
    for trial in _best_trials(ledger.study, launch.launch_id, plan.objectives[0], best):
        own = _training(launch, trial)
        for seed in range(plan.seed, plan.seed + seeds):
            if seed == own.fit.seed and _finished(launch, own) is not None:
                continue
            name = f"{own.training_id}-seed{seed}"
            fit = dataclasses.replace(own.fit, seed=seed)
            found.append((trial.number, Training(name, fit, (Cell(name, own.epochs),))))
    return found


def _best_trials(
    study: optuna.Study, launch_id: str, objective: Objective, count: int
) -> list[FrozenTrial]:
    """A launch's own trials with the best scores, whether or not they were trained to the end.

    Of several with the same parameters the best, of equal ones the earlier.
    """
    own = [
        trial
        for trial in study.get_trials(deepcopy=False)
        if trial.user_attrs.get(MARK) == launch_id
        and trial.state != TrialState.FAIL
        and trial.intermediate_values
    ]

    def rank(trial: FrozenTrial) -> tuple[float, int]:
        scores = trial.intermediate_values
        return -objective.sign * scores[max(scores)], trial.number

    found: dict[str, FrozenTrial] = {}
    for trial in sorted(own, key=rank):
        found.setdefault(repr(sorted(trial.params.items())), trial)
    return list(found.values())[:count]


@dataclasses.dataclass(frozen=True)
class Confirmed:
    """A configuration that was trained with several seeds: by seed, trainings and finished cells.

    `trial` is the number of the search's trial. `p` belongs to the difference of its images' mean
    squared errors, the mean over seeds, from those of the best; None if it was not tested.
    """

    trial: int
    objective: Objective
    trainings: Mapping[int, Training]
    cells: Mapping[int, CellRecord]
    p: float | None = None

    @property
    def values(self) -> dict[int, float]:
        """The objective's value of each seed."""
        return {seed: cell.values[self.objective.name] for seed, cell in self.cells.items()}

    @property
    def mean(self) -> float:
        return statistics.fmean(self.values.values())

    @property
    def best_seed(self) -> int:
        return max(self.values, key=lambda seed: self.objective.sign * self.values[seed])


def read_confirmed(launch: Launch, study: optuna.Study, objective: Objective) -> list[Confirmed]:
    """What the confirmations of a launch have come to, the best mean first.

    Configurations that lack seeds, because trainings failed or are not finished, come last.
    """
    found: dict[int, dict[int, Training]] = {}
    for document in read_trainings(launch.storage, launch.document):
        if (number := document.get("confirms")) is not None:
            training = Training.from_dict(document, launch.storage.uri)
            found.setdefault(number, {})[training.fit.seed] = training
    confirmed = []
    trials = study.get_trials(deepcopy=False)
    for number, again in found.items():
        own = _training(launch, trials[number])
        trainings = {own.fit.seed: own, **again}
        cells = {
            seed: cell
            for seed in sorted(trainings)
            if (cell := _finished(launch, trainings[seed])) is not None
        }
        if cells:
            confirmed.append(Confirmed(number, objective, trainings, cells))
    sign = objective.sign
    return sorted(confirmed, key=lambda each: (-len(each.cells), -sign * each.mean, each.trial))


def paired_p(first: Floats, second: Floats) -> float:
    """Return the two-sided p-value of a difference between paired values, by flipping signs.

    It is the share of 10 000 random choices, each of which exchanges the values of about half of
    the pairs, whose mean difference is at least as large. Drawn with a fixed seed.
    """
    differences = first - second
    observed, size = abs(differences.mean()), len(differences)
    rng, as_large = np.random.default_rng(0), 0
    for _ in range(_FLIPS // _FLIPPED_AT_ONCE):
        signs = 1.0 - 2.0 * rng.integers(0, 2, (_FLIPPED_AT_ONCE, size))
        # Sums in another order differ in their last bits.
        as_large += int((abs(signs @ differences / size) >= observed * (1 - 1e-12)).sum())
    return (as_large + 1) / (_FLIPS + 1)


def _training(launch: Launch, trial: FrozenTrial) -> Training:
    path = f"{trial.user_attrs['training_id']}/{TRAINING}"
    return Training.from_dict(launch.storage.read_json(path), launch.storage.uri)


def _finished(launch: Launch, training: Training) -> CellRecord | None:
    """The cell of a training that has reached its end."""
    cell = read_cell(launch.storage, training.training_id, training.cells[0].cell_id)
    return cell if cell is not None and cell.outcome == "finished" else None
