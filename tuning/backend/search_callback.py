"""Sees a search's trials run on Ray Tune, and tells ledger, MLflow's projection and view of it."""

from __future__ import annotations

import signal
from typing import Any

from ray import tune

from tuning.backend.callback import last_line
from tuning.backend.resources import larger_share
from tuning.backend.search_trainable import OUT_OF_MEMORY
from tuning.display.progress import LaunchProgress, Status
from tuning.errors import ChromatuneError
from tuning.launch.search_cells import cut_cell
from tuning.launch.storage import LaunchStorage
from tuning.launch.tracker import Tracker
from tuning.launch.trainings import Training
from tuning.search.budget import Budget
from tuning.search.ledger import HandOut, Ledger
from tuning.training.data import TaskData
from tuning.training.loop import EpochRecord


class SearchWatcher(tune.Callback):
    """Follows the trials of one search. `out_of` says which budget ended it, if one did."""

    def __init__(
        self,
        storage: LaunchStorage,
        data: TaskData,
        ledger: Ledger,
        budget: Budget,
        projection: Tracker,
        progress: LaunchProgress,
    ) -> None:
        self._storage = storage
        self._data = data
        self._ledger = ledger
        self._budget = budget
        self._projection = projection
        self._progress = progress
        self._records: dict[str, dict[int, EpochRecord]] = {}
        self._endings: dict[str, tuple[str, str]] = {}
        self._too_small: dict[str, float] = {}
        self.out_of: str | None = None

    def __getstate__(self) -> dict[str, Any]:
        return {}  # Ray pickles callbacks into the experiment folder; this one holds threads

    def on_step_end(self, iteration: int, trials: list[Any], **info: Any) -> None:
        if self.out_of is None and (reason := self._budget.used_up()):
            self.out_of = reason
            signal.raise_signal(signal.SIGINT)  # stopped as by Ctrl-C, trials can be gone on with

    def on_trial_start(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        held = trial.placement_group_factory.required_resources
        self._budget.trial_began(str(trial), held.get("CPU", 0), held.get("GPU", 0))
        self._endings.pop(str(trial), None)
        self._progress.update(str(trial), self._epoch(str(trial)), {}, status="running")

    def on_trial_result(
        self, iteration: int, trials: list[Any], trial: Any, result: dict[str, Any], **info: Any
    ) -> None:
        name = str(trial)
        records: list[EpochRecord] = result["records"]
        if result["outcome"] != "running":
            self._endings[name] = (result["outcome"], result["message"])
        if not records:
            return
        self._records.setdefault(name, {}).update({one["epoch"]: one for one in records})
        if any("milestone" in record for record in records):
            self._endings[name] = ("finished", "")
        if "score" in result:
            self._ledger.observe(name, result["epoch"], result["score"])
        self._projection.observe(name, records)
        for record in records:
            metrics = {key: value for key, value in record.items() if isinstance(value, float)}
            self._progress.update(name, record["epoch"], metrics, status="running")

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        name = str(trial)
        self._budget.trial_ended(name)
        outcome, message = self._endings.get(name, ("pruned", ""))
        if outcome == OUT_OF_MEMORY:
            gpus = trial.placement_group_factory.required_resources.get("GPU", 0)
            self._out_of_memory(name, gpus, message)
        elif outcome == "diverged":
            self._failed(name, outcome, message)
        elif outcome == "pruned" and not self.cut(self._live(name), "pruned"):
            self._failed(name, "failed", "it left no checkpoint that could be read")
        else:
            self._ledger.ended(name)
            self._projection.training_ended(name, outcome, "")
            status: Status = "done" if outcome == "finished" else "pruned"
            self._progress.update(name, self._epoch(name), {}, status=status)

    def on_trial_recover(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        self._budget.trial_ended(str(trial))
        self._progress.message(
            f"{trial} crashed and goes on from its last checkpoint "
            f"(failure {trial.num_failures}): {last_line(trial)}"
        )

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        self._budget.trial_ended(str(trial))
        self._failed(str(trial), "failed", last_line(trial))

    def cut(self, training: Training, outcome: str) -> bool:
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

    def stopped(self) -> None:
        """Keep the best state of every training that is left unfinished, to be gone on with."""
        for hand_out in self._ledger.stopped():
            name = hand_out.training.training_id
            self._budget.trial_ended(name)
            self.cut(hand_out.training, "stopped")
            self._projection.training_ended(name, "stopped", "")
        self._budget.save()

    def _out_of_memory(self, name: str, gpus: float, message: str) -> None:
        """Hand the training out once more with a larger share of a GPU, then let it fail."""
        larger = larger_share(gpus)
        if name not in self._too_small and larger is not None:
            self._too_small[name] = gpus
            self._progress.message(
                f"{name} ran out of GPU memory with {gpus:g} of a GPU and is tried again with "
                f"{larger:g}"
            )
            self._ledger.again(name, larger)
            return
        before = f"{self._too_small[name]:g} and with " if name in self._too_small else ""
        self._failed(name, "failed", f"out of GPU memory with {before}{gpus:g} of a GPU: {message}")

    def _failed(self, name: str, outcome: str, message: str) -> None:
        self._ledger.failed(name, outcome, message)
        self._projection.training_ended(name, outcome, message)
        status: Status = "diverged" if outcome == "diverged" else "failed"
        self._progress.update(name, self._epoch(name), {}, status=status)

    def _live(self, name: str) -> Training:
        found: HandOut = next(one for one in self._ledger.live if one.training.training_id == name)
        return found.training

    def _epoch(self, name: str) -> int:
        return max(self._records.get(name, ()), default=0)
