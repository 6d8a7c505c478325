"""Where launches stand, read from their folders alone: no trial, study or store is opened."""

from __future__ import annotations

import contextlib
import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from tuning.errors import ChromatuneError
from tuning.launch.launch_json import TrainingDocument, read_trainings
from tuning.launch.lease import Owner, read_owner
from tuning.launch.live import LiveTrial, read_live
from tuning.launch.records import CellRecord, read_cell, read_failure
from tuning.launch.storage import LaunchStorage
from tuning.training.tasks import CRITERIA
from tuning.utils.faults import describe_fault

State = Literal["running", "stopped", "finished", "failed"]
TrialStatus = Literal["waiting", "running", "stopped", "done", "pruned", "diverged", "failed"]
ENDED = ("done", "pruned", "diverged", "failed")

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
class Best:
    """The best finished cell, by the validation metric that decides in its launch."""

    cell_id: str
    value: float


@dataclasses.dataclass(frozen=True)
class TrialState:
    """One trial: the epoch it has reached of how many, and the metric's newest or kept value.

    `done` of its `cells` are in the folder; `error` says why it failed.
    """

    training_id: str
    status: TrialStatus
    epoch: int
    epochs: int
    cells: int
    done: int
    value: float | None = None
    best: Best | None = None
    node: str = ""
    error: str = ""


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
        return _best(found, maximize=metric_of(self.document)[1])


def metric_of(document: Mapping[str, Any]) -> tuple[str, bool]:
    """The metric that decides in a launch, and whether it is maximized."""
    criterion = CRITERIA[document["task"]]
    objectives = (document["config"].get("search") or {}).get("objectives")
    if objectives:
        name, _, direction = str(objectives[0]).partition(":")
        return name, direction == "max"
    return f"val_{criterion.name}", criterion.higher_is_better


def read_state(storage: LaunchStorage, document: Mapping[str, Any]) -> LaunchState:
    """Read where the launch in `storage` stands; ChromatuneError if a record of it is damaged."""
    owner = read_owner(storage)
    is_running = owner is not None and owner.lives
    live = read_live(storage) if is_running else {}
    trainings = _trainings(storage, document)
    trials = [_trial(storage, document, training, live, is_running) for training in trainings]
    budget = _budget(storage)
    is_over = budget.is_used_up if budget else True
    unknown = max(0, budget.allowance.num_samples - len(trials)) if budget else 0
    state: State = "running"
    if not is_running:
        if not trials or not is_over or any(trial.status not in ENDED for trial in trials):
            state = "stopped"
        else:
            # A search has failed if it has found nothing, another launch if it lacks anything.
            good = [trial.status in ("done", "pruned") for trial in trials]
            state = "finished" if (any(good) if budget else all(good)) else "failed"
    cells = sum(trial.cells for trial in trials) + unknown
    count = len(trials) + unknown
    return LaunchState(
        storage, document, state, owner if is_running else None, trials, cells, count
    )


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


def _trial(
    storage: LaunchStorage,
    document: Mapping[str, Any],
    training: TrainingDocument,
    live: Mapping[str, LiveTrial],
    is_running: bool,
) -> TrialState:
    name = training.training_id
    metric, maximize = metric_of(document)
    found = [read_cell(storage, name, cell.cell_id) for cell in training.cells]
    cells = [cell for cell in found if cell is not None]
    kept = [best for cell in cells if (best := _value(cell, metric)) is not None]
    finished = [
        best
        for cell in cells
        if cell.outcome == "finished" and (best := _value(cell, metric)) is not None
    ]
    top = _best(kept, maximize)
    running, failure = live.get(name), read_failure(storage, name)
    epoch = max((cell.last_epoch for cell in cells), default=0)
    value = top.value if top else None
    status: TrialStatus = "waiting"
    if failure is not None:
        status = "diverged" if failure.outcome == "diverged" else "failed"
        epoch = max([epoch, *(int(record.get("epoch", 0)) for record in failure.history)])
    elif len(cells) == len(found) and all(cell.outcome != "stopped" for cell in cells):
        status = "pruned" if cells[-1].outcome == "pruned" else "done"
    elif running is not None:
        status, epoch = "running", max(epoch, running.epoch)
        value = running.value if running.value is not None else value
    elif cells and not is_running:
        status = "stopped"
    return TrialState(
        training_id=name,
        status=status,
        epoch=epoch,
        epochs=training.milestones[-1],
        cells=len(found),
        done=sum(cell.outcome in ("finished", "pruned") for cell in cells),
        value=value,
        best=_best(finished, maximize),
        node=cells[-1].hostname if cells else "",
        error=failure.message if failure else "",
    )


def _value(cell: CellRecord, metric: str) -> Best | None:
    value = cell.values.get(metric, math.nan)
    return Best(cell.cell_id, value) if math.isfinite(value) else None


def _best(found: Sequence[Best], maximize: bool) -> Best | None:
    sign = 1 if maximize else -1
    return max(found, key=lambda best: sign * best.value, default=None)
