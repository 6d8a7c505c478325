"""Trials one after another in this process: for a machine without Ray, a debugger, a notebook."""

from __future__ import annotations

import contextlib
import signal
import threading
import traceback
from collections.abc import Iterator
from types import FrameType

import torch

from tuning.backend.base import Job
from tuning.launch.checkpoint_choice import Assignment
from tuning.launch.trial import Report, TrialInputs, claim_device, run_trial
from tuning.launch.trial_lifecycle import LaunchMonitor


class SerialBackend:
    """Trains on a GPU where torch finds one, else with `cpus_per_trial` threads (default 1)."""

    def starting(
        self,
        address: str | None,  # noqa: ARG002
    ) -> contextlib.AbstractContextManager[None]:
        return contextlib.nullcontext()

    def session(self, job: Job) -> contextlib.AbstractContextManager[None]:  # noqa: ARG002
        return contextlib.nullcontext()

    def run(self, job: Job, monitor: LaunchMonitor, inputs: TrialInputs) -> None:
        cpus = max(1, int(job.resources.cpus_per_trial or 1))
        with _threads(cpus), _Interrupt() as interrupt:
            while not interrupt.is_set and (assignment := monitor.next()) is not None:
                gpus = job.resources.gpus_for(assignment.training.fit.model)
                device = claim_device(1.0 if gpus is None else gpus)
                monitor.trial_started(assignment.training_id, cpus, float(device != "cpu"))
                self._run_one(assignment, monitor, inputs, device, interrupt)

    def _run_one(
        self,
        assignment: Assignment,
        monitor: LaunchMonitor,
        inputs: TrialInputs,
        device: str,
        interrupt: _Interrupt,
    ) -> None:
        def report(report: Report) -> None:
            try:
                stops = monitor.stops(report)
                monitor.reported(report)
                if monitor.is_time_to_stop():
                    interrupt.is_set = True
            except Exception as error:
                raise _MonitorFailed(error) from error
            if stops or (interrupt.is_set and report["outcome"] == "running"):
                raise SystemExit

        try:
            run_trial(assignment, inputs, device, report)
        except SystemExit:
            if monitor.was_stopped_early(assignment.training_id):
                monitor.trial_completed(assignment.training_id)
        except _MonitorFailed as failed:
            raise failed.error from None
        except Exception:
            monitor.trial_raised(assignment.training_id, traceback.format_exc())
        else:
            monitor.trial_completed(assignment.training_id)


class _MonitorFailed(BaseException):
    """Takes an error of the monitor, not of the trial, through the training."""

    def __init__(self, error: Exception) -> None:
        super().__init__(error)
        self.error = error


class _Interrupt:
    """Takes note of the first Ctrl-C, so that the running trial can save; the next one raises."""

    def __init__(self) -> None:
        self.is_set = False
        # Only the main thread receives signals.
        self._handles = threading.current_thread() is threading.main_thread()

    def __enter__(self) -> _Interrupt:
        if self._handles:
            self._before = signal.signal(signal.SIGINT, self._set)
        return self

    def __exit__(self, *_: object) -> None:
        if self._handles:
            signal.signal(signal.SIGINT, self._before)

    def _set(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002
        if self.is_set:
            raise KeyboardInterrupt
        self.is_set = True


@contextlib.contextmanager
def _threads(count: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
