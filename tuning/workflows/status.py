"""Where one launch stands, once or until it ends."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from tuning.display.comparison_table import ResultTable
from tuning.display.formatting import format_value, one_line, with_unit
from tuning.display.progress import LaunchProgress, Status
from tuning.display.table import Table, row
from tuning.launch.find import find_document
from tuning.launch.overview import LaunchState, read_state
from tuning.launch.trial_state import TrialState, metric_of
from tuning.workflows.launches import launch_record

if TYPE_CHECKING:
    from rich.console import Console

_COLUMNS = ("state", "epoch", "score", "node")
_EVERY_S = 2.0
_EVERY_REMOTE_S = 15.0


@dataclasses.dataclass(frozen=True)
class StatusTable(ResultTable):
    """A row for each trial that is known."""

    launch: LaunchState

    @property
    def errors(self) -> list[str]:
        """A line for each trial that failed: its error, and the file that says more."""
        return [_error_line(trial) for trial in self.launch.trials if trial.error]

    def tables(self) -> list[Table]:
        launch = self.launch
        where = f" as {launch.owner}" if launch.owner else ""
        best = f", best {with_unit(launch.metric, launch.best.value)}" if launch.best else ""
        caption = f"{launch.launch_id}: {launch.state}{where}; {launch.done} of {launch.cells} "
        caption += f"cells{best}"
        rows = tuple(
            row(
                trial.training_id,
                trial.status,
                f"{trial.epoch}/{trial.epochs}",
                "–" if trial.value is None else format_value(launch.metric, trial.value),
                one_line(trial.node, 40),
            )
            for trial in launch.trials
        )
        notes = [f"score: {launch.metric}"]
        if unknown := launch.trial_count - len(launch.trials):
            notes.append(f"{unknown} more trials are not suggested yet")
        left = ("state", "node")
        return [Table(caption, "trial", _COLUMNS, rows, tuple(notes), left=left)]

    def to_json(self) -> dict[str, Any]:
        trials = [dataclasses.asdict(trial) for trial in self.launch.trials]
        return {"type": "status", **launch_record(self.launch), "trials": trials}


def launch_status(name: str, storage_path: str) -> StatusTable:
    """Read where a launch stands; ChromatuneError if there is no such launch."""
    return StatusTable(read_state(*find_document(name, storage_path)))


def follow_launch(name: str, storage_path: str, console: Console) -> StatusTable:
    """Show the progress view of a launch that another process runs, until it ends.

    Raises ChromatuneError if there is none, or if its folder is removed.
    """
    storage, document = find_document(name, storage_path)
    state = read_state(storage, document)
    metric, maximize = metric_of(document)
    known = [trial.training_id for trial in state.trials]
    places = [f"trial {number}" for number in range(len(known), state.trial_count)]
    longest = max((trial.epochs for trial in state.trials), default=1)
    rows = [(trial.training_id, trial.epochs) for trial in state.trials]
    rows += [(place, longest) for place in places]
    if state.state != "running":
        return StatusTable(state)
    with LaunchProgress(console, state.launch_id, rows, metric, maximize) as view:
        for now in _until_ended(state):
            for trial in now.trials:
                if trial.training_id not in known:
                    known.append(trial.training_id)
                    view.rename(places.pop(0) if places else "", trial.training_id, trial.epochs)
                value = {} if trial.value is None else {metric: trial.value}
                view.update(trial.training_id, trial.epoch, value, _shown(trial))
    return StatusTable(now)


def _until_ended(state: LaunchState) -> Iterator[LaunchState]:
    """Where a launch stands now, then every few seconds, at last as it has ended."""
    storage = state.storage
    while state.owner is not None:
        yield state
        time.sleep(_EVERY_S if storage.is_local else _EVERY_REMOTE_S)
        state = read_state(storage, state.document, state)
    yield state


def _shown(trial: TrialState) -> Status:
    # The view is that of a running launch, in which a stopped trial waits.
    return "waiting" if trial.status == "stopped" else trial.status


def _error_line(trial: TrialState) -> str:
    log = f"; log: {trial.log}" if trial.log else ""
    return f"{trial.training_id} {trial.status}: {one_line(trial.error)}{log}"
