"""Where launches stand, read from their folders alone: no trial, study or store is opened."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from tuning.errors import ChromatuneError
from tuning.launch.launch_json import TrainingDocument, read_trainings
from tuning.launch.lease import Owner, read_owner
from tuning.launch.live import read_live
from tuning.launch.storage import LaunchStorage
from tuning.launch.trial_state import ENDED, GOOD, Best, TrialState, best_of, metric_of, read_trial
from tuning.utils.faults import describe_fault

State = Literal["running", "stopped", "finished", "failed"]

_SEARCH = "search.json"
_TRAININGS = TypeAdapter(list[TrainingDocument])


class _Allowance(BaseModel):
    num_samples: int
    gpu_hours: float | None = None
    cpu_hours: float | None = None


class _Spent(BaseModel):
    gpu_hours: float = 0.0
    cpu_hours: float = 0.0


class _Budget(BaseModel):
    """What `search.json` says of a search's budget."""

    model_config = ConfigDict(extra="ignore")

    allowance: _Allowance
    spent: _Spent = _Spent()
    over: bool = False

    @property
    def is_used_up(self) -> bool:
        pairs = (
            (self.allowance.gpu_hours, self.spent.gpu_hours),
            (self.allowance.cpu_hours, self.spent.cpu_hours),
        )
        return self.over or any(most is not None and hours >= most for most, hours in pairs)


@dataclasses.dataclass(frozen=True)
class LaunchState:
    """Where a launch stands; `owner` is the living process that runs it.

    `cells` and `trial_count` count those that a search has not begun, too.
    """

    storage: LaunchStorage
    document: Mapping[str, Any]
    state: State
    owner: Owner | None
    trials: Sequence[TrialState]
    cells: int
    trial_count: int

    @property
    def launch_id(self) -> str:
        return str(self.document["launch_id"])

    @property
    def done(self) -> int:
        """Cells that are finished or pruned."""
        return sum(trial.done for trial in self.trials)

    @property
    def metric(self) -> str:
        return metric_of(self.document)[0]

    @property
    def best(self) -> Best | None:
        found = [trial.best for trial in self.trials if trial.best is not None]
        return best_of(found, maximize=metric_of(self.document)[1])


def read_state(
    storage: LaunchStorage, document: Mapping[str, Any], before: LaunchState | None = None
) -> LaunchState:
    """Read where the launch in `storage` stands; ChromatuneError if a record of it is damaged.

    Trials that were done `before` are not read again.
    """
    owner = read_owner(storage)
    is_running = owner is not None and owner.lives
    live = read_live(storage) if is_running else {}
    known = {trial.training_id: trial for trial in before.trials} if before else {}
    trials = []
    trainings = _trainings(storage, document)
    for training in trainings:
        name = training.training_id
        trial = known.get(name)
        if trial is None or trial.status not in GOOD:
            trial = read_trial(storage, document, training, live.get(name), is_running=is_running)
        trials.append(trial)
    budget = _budget(storage)
    begun = sum(training.confirms is None for training in trainings)
    is_open = budget is not None and not budget.over
    unknown = max(0, budget.allowance.num_samples - begun) if budget and is_open else 0
    state = "running" if is_running else _ended_as(trials, budget)
    cells = sum(trial.cells for trial in trials) + unknown
    count = len(trials) + unknown
    return LaunchState(
        storage, document, state, owner if is_running else None, trials, cells, count
    )


def _ended_as(trials: Sequence[TrialState], budget: _Budget | None) -> State:
    """The state of a launch that no process runs: a search has a budget.

    A search whose budget is used up has failed if it has found nothing, another launch if it lacks
    anything.
    """
    if budget is not None and budget.is_used_up:
        return "finished" if any(trial.value is not None for trial in trials) else "failed"
    is_unfinished = not trials or any(trial.status not in ENDED for trial in trials)
    if budget is not None or is_unfinished:
        return "stopped"
    return "finished" if all(trial.status in GOOD for trial in trials) else "failed"


def _trainings(storage: LaunchStorage, document: Mapping[str, Any]) -> list[TrainingDocument]:
    try:
        return _TRAININGS.validate_python(read_trainings(storage, document))
    except ValidationError as error:
        raise ChromatuneError(
            f"{storage.uri} has a damaged training: {describe_fault(error)}"
        ) from None


def _budget(storage: LaunchStorage) -> _Budget | None:
    """The budget of a search; None of other launches."""
    with contextlib.suppress(ChromatuneError, ValidationError):
        if storage.exists(_SEARCH):
            return _Budget.model_validate(storage.read_json(_SEARCH))
    return None
