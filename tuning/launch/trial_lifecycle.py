"""Follows the trials of a launch, and informs source, tracker, limits and progress view of them."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from tuning.errors import ChromatuneError
from tuning.launch.attempts import ERROR, attempt_folder, failure_line
from tuning.launch.checkpoint_choice import Assignment
from tuning.launch.limits import TimeLimit
from tuning.launch.storage import LaunchStorage
from tuning.launch.tracker import Tracker
from tuning.launch.trainings import Training
from tuning.launch.trial import Report
from tuning.launch.trial_source import TrialSource, Verdict
from tuning.launch.write_cell import cut_cell
from tuning.training.checkpoint import EpochRecord
from tuning.training.data import TaskData

if TYPE_CHECKING:
    from tuning.display.progress import LaunchProgress, Status


_EARLY: Mapping[Verdict, tuple[str, str]] = {"stop": ("pruned", ""), "pause": ("paused", "")}
# How the progress view names what became of a trial.
STATUS: Mapping[str, Status] = {
    "finished": "done",
    "pruned": "pruned",
    "diverged": "diverged",
    "failed": "failed",
}


class LaunchMonitor:
    """What a backend informs of its trials; all methods are called in the driver's main thread.

    A trial that raises is run again, up to `max_failures` times, from its last checkpoint.
    `placeholders` are names under which the progress view shows trials that are not known yet.
    `messages` has (outcome, message) of trainings that failed; `ended_by` says which budget ended
    the launch.
    """

    def __init__(
        self,
        storage: LaunchStorage,
        data: TaskData,
        source: TrialSource,
        tracker: Tracker,
        progress: LaunchProgress,
        limit: TimeLimit,
        max_failures: int,
        placeholders: Iterable[str] = (),
    ) -> None:
        self.source = source
        self.messages: dict[str, tuple[str, str]] = {}
        self.ended_by: str | None = None
        self._storage = storage
        self._data = data
        self._tracker = tracker
        self._progress = progress
        self._limit = limit
        self._max_failures = max_failures
        self._placeholders = deque(placeholders)
        self._failures: dict[str, int] = {}
        self._records: dict[str, dict[int, EpochRecord]] = {}
        self._endings: dict[str, tuple[str, str]] = {}

    def next(self) -> Assignment | None:
        """Take the next training from the source."""
        assignment = self.source.next()
        if assignment is not None and assignment.is_new:
            name = assignment.training_id
            placeholder = self._placeholders.popleft() if self._placeholders else name
            self._progress.rename(placeholder, name, assignment.training.epochs)
        return assignment

    def is_time_to_stop(self) -> bool:
        """Whether a budget has just been used up."""
        if self.ended_by is None and (reason := self._limit.used_up()):
            self.ended_by = reason
            return True
        return False

    def trial_started(self, training_id: str, cpus: float, gpus: float) -> None:
        self._limit.trial_began(training_id, cpus, gpus)
        self._endings.pop(training_id, None)
        self._progress.update(training_id, self._epoch(training_id), {}, "running")

    def stops(self, report: Report) -> bool:
        """Whether the trial is to be stopped or paused early; asked once for each report."""
        if "score" not in report:
            return False
        name = report["training_id"]
        # The source takes in the last score of a trial too, but nothing is left to stop then.
        verdict = self.source.observe(name, report["epoch"], report["score"])
        if verdict not in _EARLY or report["outcome"] != "running":
            return False
        self._endings[name] = _EARLY[verdict]
        return True

    def was_stopped_early(self, training_id: str) -> bool:
        """Whether `stops` has said so of a running trial."""
        return self._endings.get(training_id) in _EARLY.values()

    def reported(self, report: Report) -> None:
        """Take in a trial's report; see `run_trial`."""
        name, records = report["training_id"], report["records"]
        if report["outcome"] != "running":
            self._endings[name] = (report["outcome"], report["message"])
        if not records:
            return
        self._records.setdefault(name, {}).update({record["epoch"]: record for record in records})
        self._tracker.observe(name, records)
        for record in records:
            metrics = {key: value for key, value in record.items() if isinstance(value, float)}
            self._progress.update(name, record["epoch"], metrics, "running")

    def trial_completed(self, training_id: str) -> None:
        """A trial has returned, or was stopped by `stops`."""
        self._limit.trial_ended(training_id)
        outcome, message = self._endings.get(training_id, ("finished", ""))
        if outcome == "paused":
            self.source.paused(training_id)
            self._progress.update(training_id, self._epoch(training_id), {}, "paused")
            return
        if outcome == "pruned" and not self._cut(self._live(training_id), "pruned"):
            outcome, message = "failed", "it left no checkpoint that could be read"
        if outcome in ("finished", "pruned"):
            self.source.ended(training_id)
        else:
            self._failed(training_id, outcome, message)
        self._ended(training_id, outcome, message)

    def trial_raised(self, training_id: str, traceback: str) -> None:
        """A trial, or the process or node that ran it, has died; of these there is no traceback."""
        self._limit.trial_ended(training_id)
        message = failure_line(traceback)
        log = self._keep(training_id, traceback)
        failures = self._failures[training_id] = self._failures.get(training_id, 0) + 1
        if failures <= self._max_failures:
            self.source.requeue(training_id)
            self._progress.message(
                f"{training_id} crashed and resumes from its last checkpoint "
                f"(failure {failures}): {message}{log}"
            )
            return
        self._progress.message(f"{training_id} failed: {message}{log}")
        self._failed(training_id, "failed", message)
        self._ended(training_id, "failed", message)

    def stopped(self) -> None:
        """The launch stops, perhaps before all trials have ended."""
        live = [assignment.training_id for assignment in self.source.live]
        for training, outcome in self.source.stopped():
            is_cut = self._cut(training, outcome)
            if outcome == "stopped":
                self._tracker.training_ended(training.training_id, outcome, "")
            elif is_cut:
                self.source.ended(training.training_id)
                self._ended(training.training_id, outcome, "")
        for training_id in live:
            self._limit.trial_ended(training_id)
        self._limit.save()

    def _keep(self, training_id: str, traceback: str) -> str:
        """Write a traceback into the folder of the attempt; return where it is, for a message.

        Ray leaves it there too, but only when the launch has ended.
        """
        if "\n" not in traceback.strip():
            return ""
        attempt = next(each for each in self.source.live if each.training_id == training_id).attempt
        path = f"{attempt_folder(training_id, attempt)}/{ERROR}"
        try:
            self._storage.write_text(path, traceback)
        except OSError:  # a full disk must not hide the error itself
            return ""
        return f"; log: {self._storage.uri}/{path}"

    def _failed(self, training_id: str, outcome: str, message: str) -> None:
        self.messages[training_id] = (outcome, message)
        self.source.failed(training_id, outcome, message)

    def _ended(self, training_id: str, outcome: str, message: str) -> None:
        self._tracker.training_ended(training_id, outcome, message)
        self._progress.update(training_id, self._epoch(training_id), {}, STATUS[outcome])
        self._records.pop(training_id, None)

    def _cut(self, training: Training, outcome: str) -> bool:
        """Write the cell of a training that goes no further; False if there is nothing to cut."""
        try:
            return cut_cell(
                self._storage,
                training,
                self._data,
                outcome,
                history=list(self._records.get(training.training_id, {}).values()),
            )
        except (OSError, ChromatuneError) as error:
            self._progress.message(f"{training.training_id}: its cell cannot be written: {error}")
            return False

    def _live(self, training_id: str) -> Training:
        return next(
            assignment.training
            for assignment in self.source.live
            if assignment.training_id == training_id
        )

    def _epoch(self, training_id: str) -> int:
        return max(self._records.get(training_id, ()), default=0)
