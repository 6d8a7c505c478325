"""Where a trial stands, read from the launch folder alone."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from tuning.errors import ChromatuneError
from tuning.launch.attempts import (
    BEGUN,
    DIED,
    ERROR,
    attempt_folder,
    attempts_at,
    checkpoints_in,
    failure_line,
)
from tuning.launch.launch_json import TrainingDocument
from tuning.launch.live import LiveTrial
from tuning.launch.records import FINAL, CellRecord, read_cell, read_failure
from tuning.launch.storage import LaunchStorage
from tuning.training.tasks import CRITERIA, higher_is_better

TrialStatus = Literal[
    "waiting", "running", "paused", "stopped", "done", "pruned", "diverged", "failed"
]
GOOD: tuple[TrialStatus, ...] = ("done", "pruned")
ENDED: tuple[TrialStatus, ...] = (*GOOD, "diverged", "failed")


@dataclasses.dataclass(frozen=True)
class Best:
    """The best of some cells, by the validation metric that decides in their launch."""

    cell_id: str
    value: float


@dataclasses.dataclass(frozen=True)
class TrialState:
    """One trial: the epoch that it has reached, of how many, and its value of the metric.

    `done` of its `cells` are in the folder, `best` is the best finished one of them; `value` is
    that of the best state it has left, while it runs the newest. `metrics` are all of that state's,
    `seconds` those of training until its newest cell. `node` is where its last attempt
    ran, `error` says why it failed, `log` is the file that says more; `params` are its settings.
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
    log: str = ""
    params: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    metrics: Mapping[str, float] = dataclasses.field(default_factory=dict)
    seconds: float = 0.0


def metric_of(document: Mapping[str, Any]) -> tuple[str, bool]:
    """The metric that decides in a launch, and whether it is maximized."""
    criterion = CRITERIA[document["task"]]
    if kept_by := (document["config"].get("train") or {}).get("keep_by"):
        return str(kept_by), higher_is_better(str(kept_by))
    objectives = (document["config"].get("search") or {}).get("objectives")
    if objectives:
        name, _, direction = str(objectives[0]).partition(":")
        return name, direction == "max"
    return f"val_{criterion.name}", criterion.higher_is_better


def best_of(found: Sequence[Best], *, maximize: bool) -> Best | None:
    """The best by value, among equals the first; None of none."""
    sign = 1 if maximize else -1
    return max(found, key=lambda best: sign * best.value, default=None)


def read_trial(
    storage: LaunchStorage,
    document: Mapping[str, Any],
    training: TrainingDocument,
    live: LiveTrial | None,
    *,
    is_running: bool,
) -> TrialState:
    """Read where a trial stands; `live` is what a running launch says of it.

    Raises ChromatuneError if one of its records is damaged.
    """
    name = training.training_id
    metric, maximize = metric_of(document)
    found = [read_cell(storage, name, cell.cell_id) for cell in training.cells]
    cells = [cell for cell in found if cell is not None]
    kept = best_of(list(_values(cells, metric)), maximize=maximize)
    finished = [cell for cell in cells if cell.outcome == "finished"]
    state = TrialState(
        training_id=name,
        status="waiting",
        epoch=max((cell.last_epoch for cell in cells), default=0),
        epochs=training.milestones[-1],
        cells=len(found),
        done=sum(cell.outcome in FINAL for cell in cells),
        value=kept.value if kept else None,
        best=best_of(list(_values(finished, metric)), maximize=maximize),
        node=cells[-1].hostname if cells else "",
        params=training.params,
        metrics=_metrics_of(cells, kept),
        seconds=max((cell.seconds for cell in cells), default=0.0),
    )
    if len(cells) == len(found) and all(cell.outcome in FINAL for cell in cells):
        status: TrialStatus = "pruned" if cells[-1].outcome == "pruned" else "done"
        return dataclasses.replace(state, status=status)
    return _unfinished(storage, state, live, is_running)


def _unfinished(
    storage: LaunchStorage, state: TrialState, live: LiveTrial | None, is_running: bool
) -> TrialState:
    """Complete the state of a trial that has not reached all of its cells."""
    name = state.training_id
    folder = attempt_folder(name, attempts_at(storage, name)[-1])
    if storage.exists(f"{folder}/{BEGUN}"):
        begun = storage.read_json(f"{folder}/{BEGUN}")
        node = str(begun.get("hostname", "")) if isinstance(begun, dict) else ""
        state = dataclasses.replace(state, node=node)
    epoch = max([state.epoch, *map(_epoch_of, checkpoints_in(storage, folder))])
    value = state.value
    if live is not None:
        epoch = max(epoch, live.epoch)
        value = live.value if live.value is not None else value
    state = dataclasses.replace(state, epoch=min(epoch, state.epochs), value=value)
    failure, has_error = read_failure(storage, name), storage.exists(f"{folder}/{ERROR}")
    log = f"{storage.uri}/{folder}/{ERROR}" if has_error else ""
    if failure is not None:
        status: TrialStatus = "diverged" if failure.outcome == "diverged" else "failed"
        reached = [int(record.get("epoch", 0)) for record in failure.history]
        return dataclasses.replace(
            state, status=status, epoch=max([epoch, *reached]), error=failure.message, log=log
        )
    if live is not None:
        error = _last_line(storage, f"{folder}/{ERROR}") if live.status == "failed" else ""
        return dataclasses.replace(state, status=live.status, error=error, log=log if error else "")
    if is_running:
        return state
    if has_error:
        error = _last_line(storage, f"{folder}/{ERROR}")
        return dataclasses.replace(state, status="failed", error=error, log=log)
    return dataclasses.replace(state, status="stopped" if state.node else "waiting")


def _values(cells: Sequence[CellRecord], metric: str) -> list[Best]:
    values = ((cell.cell_id, cell.values.get(metric, math.nan)) for cell in cells)
    return [Best(cell_id, value) for cell_id, value in values if math.isfinite(value)]


def _metrics_of(cells: Sequence[CellRecord], kept: Best | None) -> dict[str, float]:
    found = next((cell for cell in cells if kept and cell.cell_id == kept.cell_id), None)
    metrics = found.metrics if found else {}
    return {name: value for name, value in metrics.items() if math.isfinite(value)}


def _epoch_of(checkpoint: str) -> int:
    """The epoch of a checkpoint by its folder's name, `checkpoint_000060`."""
    digits = checkpoint.rpartition("_")[2]
    return int(digits) if digits.isdecimal() else 0


def _last_line(storage: LaunchStorage, path: str) -> str:
    try:
        return failure_line(storage.read_text(path))
    except ChromatuneError:
        return DIED
