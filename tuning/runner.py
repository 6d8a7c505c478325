"""Runs a launch on Ray Tune: assembles the Tuner, watches it, resumes it."""

from __future__ import annotations

import contextlib
import logging
import pickle
import signal
import threading
from collections.abc import Iterator, Sequence
from typing import Any

from ray import tune
from ray.tune.error import TuneError
from rich.console import Console

from data_prep import PreparedDataset
from tuning.attempts import attempt_folder, delete_finished, discard_ray_state, next_attempt
from tuning.cluster import await_resources, connected, has_joined, trial_resources
from tuning.config import LaunchConfig, ResourcesConfig, Task
from tuning.data import TaskData, load_task_data
from tuning.datasets import recorded
from tuning.errors import ChromatuneError
from tuning.launch import Launch, create_launch, find_launch
from tuning.launch_document import DOCUMENT
from tuning.metrics import constant_baseline
from tuning.outcomes import (
    LaunchOutcome,
    cell_outcomes,
    first_missing,
    has_ended,
    is_finished,
    run_status,
)
from tuning.preflight import check_nodes, inventory
from tuning.progress import LaunchProgress
from tuning.selection import CRITERIA
from tuning.spaces import Training, need_planes, packs
from tuning.stopping import stoppable
from tuning.tracking import Projection, project_launch
from tuning.tracking_store import prepare_store
from tuning.trainable import TrialInputs, run_trial
from tuning.watcher import Watcher, training_ids


def start_launch(
    kind: str,
    task: Task,
    config: LaunchConfig,
    dataset: PreparedDataset,
    trainings: Sequence[Training],
    *,
    tracking_uri: str,
    console: Console,
    reuse: bool = False,
    **details: Any,
) -> LaunchOutcome:
    """Write a launch down and run it; `details` go to `create_launch`.

    With `reuse`, a launch of the very same trainings on the same data is gone on with instead, or
    read off if it is finished.
    """
    data = load_task_data(dataset, task, planes=need_planes(trainings))
    config = config.model_copy(update={"data": recorded(config.data, dataset)})
    launch = None
    if reuse:
        parent = details.get("parent_model")
        launch = find_launch(config.storage_path, kind, dataset.digest, trainings, parent)
    resume = launch is not None
    if launch is None:
        baseline = constant_baseline(data.val, data.baseline_ab, task, "val_")
        launch = create_launch(
            *(kind, task, config, dataset, trainings),
            tracking_uri=tracking_uri,
            baseline=baseline,
            **details,
        )
    return run_launch(
        launch,
        data,
        config.resources,
        address=config.address,
        tracking_uri=tracking_uri,
        console=console,
        resume=resume,
    )


def run_launch(
    launch: Launch,
    data: TaskData,
    resources: ResourcesConfig,
    *,
    address: str | None,
    tracking_uri: str,
    console: Console,
    resume: bool = False,
) -> LaunchOutcome:
    """Train all that is not trained yet and project it into MLflow.

    Returns when every trial has ended or the user has stopped it. Raises ChromatuneError before
    any training if the tracking store or the resources are not there, or if another process is at
    work on the launch; of a new launch nothing is left behind then.
    """
    check_data(launch, data)
    with told_how_to_go_on(launch, console), launch.held(), contextlib.ExitStack() as withdrawal:
        if not resume:
            withdrawal.callback(launch.storage.delete)
        elif all(has_ended(launch, training) for training in launch.trainings):
            project_launch(launch.storage, tracking_uri)
            delete_finished(launch)
            return LaunchOutcome(launch, cell_outcomes(launch, {}), [])
        prepare_store(tracking_uri)  # before Ray, which takes longer to start
        projection = Projection(launch.storage, tracking_uri)
        with connected(address):
            await_resources(resources, console)
            share = trial_resources(resources)
            check_nodes(launch.storage, console)
            projection.start()
            withdrawal.pop_all()
            with sigterm_as_ctrl_c(), tracked(projection):
                with _progress(launch, console) as progress:
                    watcher = Watcher(projection, progress, resources.time_budget_s)
                    tuner = _tuner(launch, data, resources, share.cpus, share.gpus, watcher)
                    run_to_its_end(tuner)
                cells = cell_outcomes(launch, watcher.messages)
                undelivered = projection.close(run_status(cells))
        delete_finished(launch)
        return LaunchOutcome(launch, cells, undelivered, watcher.out_of_time)


@contextlib.contextmanager
def told_how_to_go_on(launch: Launch, console: Console, *also: type[Exception]) -> Iterator[None]:
    """Say what is left where something ends a launch at once.

    That is Ctrl-C before training, or a second one; or storage that is full or away, which is told
    as a ChromatuneError. So is an error of the kinds `also`.
    """
    again = f"go on with `chromatune resume {launch.found_by}`"
    try:
        yield
    except KeyboardInterrupt:
        told = "stopped before anything was trained; the launch is withdrawn"
        if _is_there(launch):
            told = f"stopped at once; {again}"
        console.print(told, soft_wrap=True, markup=False)
        raise
    except BrokenPipeError:
        raise
    except (OSError, TuneError, *also) as error:
        # Ray hands on what a callback raises as the text of its traceback.
        reason = str(error).strip().rpartition("\n")[2] or type(error).__name__
        then = f"; once the cause is mended, {again}" if _is_there(launch) else ""
        raise ChromatuneError(f"{launch.launch_id} stopped: {reason}{then}") from error


def _is_there(launch: Launch) -> bool:
    try:
        return launch.storage.exists(DOCUMENT)
    except OSError:
        return True


@contextlib.contextmanager
def tracked(projection: Projection) -> Iterator[None]:
    """Write to MLflow what is known of a launch that breaks down, and end its runs.

    After a second Ctrl-C that takes a few seconds at most, whatever MLflow does.
    """
    try:
        yield
    except KeyboardInterrupt:
        projection.delivery_timeout_s = 0.0
        projection.close("KILLED")
        raise
    except Exception:
        projection.close("KILLED")
        raise


def check_data(launch: Launch, data: TaskData) -> None:
    """Raise ChromatuneError if the data are no longer those that the launch was made on."""
    if data.digest != launch.document["dataset_digest"]:
        raise ChromatuneError(
            f"launch {launch.launch_id} was made on data with digest "
            f"{launch.document['dataset_digest']}, but the prepared data now has {data.digest}: "
            f"prepare the original pictures again"
        )


def _tuner(
    launch: Launch,
    data: TaskData,
    resources: ResourcesConfig,
    cpus: float,
    gpus: float,
    watcher: tune.Callback,
) -> tune.Tuner:
    """Make a Tuner for what is left to train: a new one also when a launch is gone on with.

    Ray would restore its own from a pickle in the launch folder.
    """
    # Failed trials are told by the progress view, in a line each instead of a traceback.
    logging.getLogger("ray.tune").setLevel(logging.CRITICAL)
    left = [training for training in launch.trainings if not has_ended(launch, training)]
    names = launch.storage.list_dir()
    attempts = {
        training.training_id: next_attempt(
            launch.storage, training.training_id, first_missing(launch, training), names
        )
        for training in left
    }
    discard_ray_state(launch.storage)

    def folder(trial: Any) -> str:
        first, *_ = training_ids(trial)
        return attempt_folder(first, attempts[first].number)

    inputs = TrialInputs(launch.storage.uri, data, attempts, inventory() if has_joined() else {})
    trainable = tune.with_resources(
        stoppable(tune.with_parameters(run_trial, inputs=inputs)), {"cpu": cpus, "gpu": gpus}
    )
    storage_path, _, name = launch.storage.uri.rpartition("/")
    return tune.Tuner(
        trainable,
        param_space={
            "trainings": tune.grid_search(
                [[training.to_dict() for training in pack] for pack in packs(left, resources.pack)]
            )
        },
        tune_config=tune.TuneConfig(
            # No metric: not every report follows a validation, and Ray would refuse those.
            reuse_actors=True,
            max_concurrent_trials=resources.max_concurrent_trials,
            trial_name_creator=_name,
            trial_dirname_creator=folder,
        ),
        run_config=tune.RunConfig(
            name=name,
            storage_path=storage_path,
            failure_config=tune.FailureConfig(max_failures=resources.max_failures),
            callbacks=[watcher],
            verbose=0,
        ),
    )


def run_to_its_end(tuner: tune.Tuner) -> None:
    """Run a Tuner.

    At the end Ray reads failures back from storage, where a full disk has cut them short.
    """
    with contextlib.suppress(pickle.UnpicklingError, EOFError):
        tuner.fit()


@contextlib.contextmanager
def sigterm_as_ctrl_c() -> Iterator[None]:
    """Let SIGTERM, as service managers and schedulers send it, stop the launch cleanly too.

    Ray's own handler exits at once and aborts with a stack trace.
    """
    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread is told of signals
        return
    before = signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextlib.contextmanager
def _progress(launch: Launch, console: Console) -> Iterator[LaunchProgress]:
    criterion = CRITERIA[launch.task]
    trainings = [(training.training_id, training.epochs) for training in launch.trainings]
    with LaunchProgress(
        console, launch.launch_id, trainings, f"val_{criterion.name}", criterion.higher_is_better
    ) as progress:
        for training in launch.trainings:
            if is_finished(launch, training):
                progress.update(training.training_id, training.epochs, {}, status="done")
        yield progress


def _name(trial: Any) -> str:
    first, *others = training_ids(trial)
    return f"{first}+{len(others)}" if others else first
