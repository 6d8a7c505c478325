"""The interface of a backend."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Sequence
from typing import Protocol

from tuning.config.schema import ResourcesConfig
from tuning.launch.folder import Launch
from tuning.launch.trial import TrialInputs
from tuning.launch.trial_lifecycle import LaunchMonitor

Log = Callable[[str], None]


class BackendError(Exception):
    """A backend could not continue; the first line says why. The launch can be resumed."""


@dataclasses.dataclass(frozen=True)
class Job:
    """A launch to run: with trials of `models`, on the cluster at `address` where that matters."""

    launch: Launch
    resources: ResourcesConfig
    address: str | None
    models: Sequence[str]
    log: Log


class Backend(Protocol):
    """Runs the trials of a launch: each is a call of `tuning.launch.trial.run_trial`.

    A backend asks the monitor for the next training whenever it has room for a trial, and calls
    `stops`, then `reported`, for each report. After Ctrl-C, or when a budget is used up, it lets
    the running trials save their last epoch and returns; the next Ctrl-C raises KeyboardInterrupt.
    """

    def starting(self, address: str | None) -> contextlib.AbstractContextManager[None]:
        """Start what sessions need, while the block goes on; they share it, and it ends with it."""

    def session(self, job: Job) -> contextlib.AbstractContextManager[None]:
        """Make ready to run trials; ChromatuneError if they could never run."""

    def run(self, job: Job, monitor: LaunchMonitor, inputs: TrialInputs) -> None:
        """Run all trials, within a session; return when they have ended or were stopped."""
