"""Trials on Ray Tune."""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import pickle
import signal
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from ray import tune
from ray.train._internal.session import get_session
from ray.tune.error import TuneError
from ray.tune.search import Searcher
from ray.tune.trainable.function_trainable import wrap_function

from models import list_models, use_code
from tuning.backend.base import BackendError, Job
from tuning.backend.cluster import connected, has_joined, starting
from tuning.backend.node_checks import check_here, check_nodes, inventory
from tuning.backend.node_data import on_nodes
from tuning.backend.resources import TrialShares, may_grow, trial_resources, wait_for_nodes
from tuning.errors import ChromatuneError
from tuning.launch.attempts import attempt_folder
from tuning.launch.checkpoint_choice import Assignment, discard_ray_state
from tuning.launch.storage import LaunchStorage
from tuning.launch.trainings import Training
from tuning.launch.trial import Report, TrialInputs, claim_device, run_trial
from tuning.launch.trial_lifecycle import LaunchMonitor

# Ray kills a trial 10 s after it has asked it to stop.
_SAVES_WITHIN_S = 8.0


class RayBackend:
    """A Ray of this machine, or a cluster; each trial is a Ray Tune trial."""

    def starting(self, address: str | None) -> contextlib.AbstractContextManager[None]:
        return starting(address)

    @contextlib.contextmanager
    def session(self, job: Job) -> Iterator[None]:
        with connected(job.address):
            for model in job.models:
                wait_for_nodes(job.resources, model, job.log)
                trial_resources(job.resources, model)
            check_nodes(job.launch.storage, job.log)
            yield

    def run(self, job: Job, monitor: LaunchMonitor, inputs: TrialInputs) -> None:
        # Failed trials are shown by the progress view, in a line each instead of a traceback.
        logging.getLogger("ray.tune").setLevel(logging.CRITICAL)
        discard_ray_state(job.launch.storage)
        tuner = _tuner(job, monitor, inputs)
        # At the end Ray reads failures back from storage, where a full disk has cut them short.
        try:
            with contextlib.suppress(pickle.UnpicklingError, EOFError):
                tuner.fit()
        except TuneError as error:
            # What a callback raises arrives as the text of its traceback.
            raise BackendError(str(error).strip().rpartition("\n")[2]) from error


def _tuner(job: Job, monitor: LaunchMonitor, inputs: TrialInputs) -> tune.Tuner:
    """Make a new Tuner, also when a launch is resumed: Ray would restore its own from a pickle."""
    nodes = inventory() if has_joined() else {}
    if has_joined():
        inputs = dataclasses.replace(inputs, data=inputs.data.found_at(on_nodes))
    function = tune.with_parameters(_train, inputs=inputs, nodes=nodes)
    shares = TrialShares(job.resources)
    storage_path, _, name = job.launch.storage.uri.rpartition("/")
    return tune.Tuner(
        tune.with_resources(_stoppable(function), shares),
        tune_config=tune.TuneConfig(
            # No metric: not every report follows a validation, and Ray would refuse those.
            search_alg=_Suggestions(monitor, shares),
            num_samples=-1,
            reuse_actors=True,
            trial_name_creator=_training_id,
            trial_dirname_creator=_folder,
        ),
        run_config=tune.RunConfig(
            name=name,
            storage_path=storage_path,
            stop=_Stop(monitor),
            # The monitor runs a trial again that has died.
            failure_config=tune.FailureConfig(max_failures=0),
            callbacks=[_Callback(monitor)],
            verbose=0,
        ),
    )


def _train(config: dict[str, Any], inputs: TrialInputs, nodes: Mapping[str, str]) -> None:
    """Run a trial in a worker of Ray's."""
    check_here(LaunchStorage(inputs.launch_uri), nodes)
    for code in inputs.code:
        use_code(code)
    if (model := config["training"]["params"]["model"]) not in list_models():
        raise ChromatuneError(
            f"Ray's worker does not know the model '{model}': give its file with --import, or "
            f"train with --backend serial"
        )
    assignment = Assignment(
        Training.from_dict(config["training"]), config["attempt"], tuple(config["checkpoints"])
    )
    resources = tune.get_context().get_trial_resources().required_resources
    torch.set_num_threads(max(1, int(resources.get("CPU", 1))))
    run_trial(assignment, inputs, claim_device(resources.get("GPU", 0)), _report)


def _stoppable(function: Callable[..., Any]) -> type[tune.Trainable]:
    """Wrap a function trainable as Ray Tune would, and wait for what it does when it is stopped.

    A function is stopped while it waits in `tune.report`, which then raises SystemExit. Ray itself
    would end the process at once.
    """

    class StoppableTrial(wrap_function(function)):  # type: ignore[misc]
        def cleanup(self) -> None:
            get_session().finish(timeout=_SAVES_WITHIN_S)
            super().cleanup()

    return StoppableTrial


def _report(report: Report) -> None:
    newest: dict[str, Any] = {}
    for record in report["records"]:
        newest.update(record)
    newest.pop("milestone", None)
    tune.report({**newest, "report": dict(report)})


class _Unpickled:
    """Ray pickles what it is given into the experiment folder, where nobody reads it."""

    def __getstate__(self) -> dict[str, Any]:
        return {}


class _Suggestions(_Unpickled, Searcher):
    """Suggests the monitor's next training while there is room for one more trial."""

    def __init__(self, monitor: LaunchMonitor, shares: TrialShares) -> None:
        super().__init__()
        self._monitor = monitor
        self._shares = shares

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:
        source = self._monitor.source
        models = [assignment.training.fit.model for assignment in source.live]
        # What a search suggests should know of all results that there are: it never waits.
        if not (source.is_fixed and may_grow()) and not self._shares.has_room(models):
            return None
        assignment = self._monitor.next()
        if assignment is None:
            # Nothing that runs could bring more.
            return None if source.live else str(self.FINISHED)
        return {**dataclasses.asdict(assignment), "training": assignment.training.to_dict()}

    def on_trial_complete(
        self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
    ) -> None:
        """The callback informs the monitor: Ray does not tell a searcher why a trial ended."""


class _Stop(_Unpickled, tune.Stopper):
    """Asks the monitor which trials to stop early."""

    def __init__(self, monitor: LaunchMonitor) -> None:
        self._monitor = monitor

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        return "report" in result and self._monitor.stops(result["report"])

    def stop_all(self) -> bool:
        return False


class _Callback(_Unpickled, tune.Callback):
    """Informs the monitor of what Ray Tune sees."""

    def __init__(self, monitor: LaunchMonitor) -> None:
        self._monitor = monitor

    def on_step_end(self, iteration: int, trials: list[Any], **info: Any) -> None:
        # Ray's own time budget marks trials as ended, and none of them could be resumed. Stopped as
        # by Ctrl-C, they resume from their checkpoints.
        if self._monitor.is_time_to_stop():
            signal.raise_signal(signal.SIGINT)

    def on_trial_start(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        held = trial.placement_group_factory.required_resources
        self._monitor.trial_started(str(trial), held.get("CPU", 0), held.get("GPU", 0))

    def on_trial_result(
        self, iteration: int, trials: list[Any], trial: Any, result: dict[str, Any], **info: Any
    ) -> None:
        if "report" in result:
            self._monitor.reported(result["report"])

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        self._monitor.trial_completed(str(trial))

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        self._monitor.trial_raised(str(trial), _traceback(trial))


def _training_id(trial: Any) -> str:
    return str(trial.config["training"]["training_id"])


def _folder(trial: Any) -> str:
    return attempt_folder(_training_id(trial), trial.config["attempt"])


def _traceback(trial: Any) -> str:
    """What Ray writes down of a failure, at its end the exception itself; "" if it died."""
    with contextlib.suppress(OSError, TypeError):  # there is no such file
        return Path(trial.error_file).read_text("utf-8", errors="replace")
    return ""
