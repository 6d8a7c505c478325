"""Sees the trials of a launch run on Ray Tune, and tells MLflow's projection and the view of it."""

from __future__ import annotations

import contextlib
import math
import signal
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ray import tune

from tuning.display.progress import LaunchProgress, Status
from tuning.launch.tracker import Tracker
from tuning.training.loop import EpochRecord

_STATUS: Mapping[str, Status] = {"finished": "done", "diverged": "diverged", "failed": "failed"}


class Watcher(tune.Callback):
    """Hands what Ray Tune sees to the progress view and to MLflow's projection.

    Ray pickles callbacks into the experiment folder; this one holds threads and a terminal, so
    nothing of it is kept there, and a resumed launch gets a new one.
    """

    def __init__(
        self, projection: Tracker, progress: LaunchProgress, time_budget_s: float | None
    ) -> None:
        self._projection = projection
        self._progress = progress
        self._deadline = time.monotonic() + (time_budget_s or math.inf)
        self.out_of_time = False
        self._epochs: dict[str, int] = {}
        self._ended: set[str] = set()
        self.messages: dict[str, tuple[str, str]] = {}

    def __getstate__(self) -> dict[str, Any]:
        return {}

    def on_step_end(self, iteration: int, trials: list[Any], **info: Any) -> None:
        # Ray's own time budget marks trials as ended, and none of them could be resumed. Stopped as
        # by Ctrl-C, they go on from their checkpoints.
        if not self.out_of_time and time.monotonic() >= self._deadline:
            self.out_of_time = True
            signal.raise_signal(signal.SIGINT)

    def on_trial_start(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        for name in self._not_ended(trial):
            self._progress.update(name, self._epochs.get(name, 0), {}, status="running")

    def on_trial_result(
        self, iteration: int, trials: list[Any], trial: Any, result: dict[str, Any], **info: Any
    ) -> None:
        for name, report in result.get("trainings", {}).items():
            self._reported(name, report["records"])
            if report["outcome"] != "running":
                self._training_ended(name, report["outcome"], report["message"])

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        for name in self._not_ended(trial):  # there was nothing more to report
            self._training_ended(name, "finished", "")

    def on_trial_recover(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        names = self._not_ended(trial)
        verb = "crashed and goes on from its last checkpoint"
        if len(names) > 1:
            verb = "crashed and go on from their last checkpoints"
        self._progress.message(
            f"{', '.join(names)} {verb} (failure {trial.num_failures}): {last_line(trial)}"
        )

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        message = last_line(trial)
        for name in self._not_ended(trial):
            self._training_ended(name, "failed", message)

    def _not_ended(self, trial: Any) -> list[str]:
        return [name for name in training_ids(trial) if name not in self._ended]

    def _reported(self, name: str, records: list[EpochRecord]) -> None:
        if not records:
            return
        self._epochs[name] = records[-1]["epoch"]
        self._projection.observe(name, records)
        for record in records:
            metrics = {key: value for key, value in record.items() if isinstance(value, float)}
            self._progress.update(name, record["epoch"], metrics, status="running")

    def _training_ended(self, name: str, outcome: str, message: str) -> None:
        self._ended.add(name)
        if outcome != "finished":
            self.messages[name] = (outcome, message)
        self._projection.training_ended(name, outcome, message)
        self._progress.update(name, self._epochs.get(name, 0), {}, status=_STATUS[outcome])


def training_ids(trial: Any) -> list[str]:
    """The trainings of a trial."""
    return [str(training["training_id"]) for training in trial.config["trainings"]]


def last_line(trial: Any) -> str:
    """The exception itself, which Ray puts at the end of what it writes down of a failure."""
    with contextlib.suppress(OSError, TypeError):  # there is no such file
        lines = Path(trial.error_file).read_text(errors="replace").strip().splitlines()
        if lines:
            return lines[-1]
    return "the trial's process died"
