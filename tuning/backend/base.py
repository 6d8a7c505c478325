"""The interface of a backend."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from typing import Protocol

from tuning.config.schema import ResourcesConfig
from tuning.launch.folder import Launch
from tuning.launch.monitor import LaunchMonitor
from tuning.launch.trial import TrialInputs

Log = Callable[[str], None]


class BackendError(Exception):
    """A backend could not go on; the first line says why. The launch can be resumed."""


class Backend(Protocol):
    """Runs the trials of a launch: each is a call of `tuning.launch.trial.run_trial`.

    A backend asks the monitor for the next training whenever it has room for a trial, and calls
    `stops`, then `reported`, for each report. After Ctrl-C, or when a budget is used up, it lets
    the running trials save their last epoch and returns; the next Ctrl-C raises KeyboardInterrupt.
    """

    def session(
        self,
        launch: Launch,
        resources: ResourcesConfig,
        address: str | None,
        models: Sequence[str],
        log: Log,
    ) -> contextlib.AbstractContextManager[None]:
        """Make ready to run trials of `models`; ChromatuneError if they could never run."""

    def run(
        self,
        launch: Launch,
        resources: ResourcesConfig,
        monitor: LaunchMonitor,
        inputs: TrialInputs,
    ) -> None:
        """Run all trials, within a session; return when they have ended or were stopped."""
