"""Runs a launch on Ray Tune: assembles the Tuner, watches it, resumes it."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator, Sequence
from typing import Any

from rich.console import Console

from data_prep import PreparedDataset
from tuning.backend.callback import Watcher
from tuning.backend.cluster import await_resources, connected, trial_resources
from tuning.backend.node_checks import check_nodes
from tuning.backend.tuner import TuneError, launch_tuner, run_to_its_end
from tuning.config.schema import LaunchConfig, ResourcesConfig, Task
from tuning.display.progress import LaunchProgress
from tuning.errors import ChromatuneError
from tuning.launch.attempts import delete_finished
from tuning.launch.datasets import recorded
from tuning.launch.document import DOCUMENT
from tuning.launch.folder import Launch, create_launch, find_launch
from tuning.launch.outcomes import LaunchOutcome, cell_outcomes, has_ended, is_finished, run_status
from tuning.launch.trainings import Training, need_planes
from tuning.tracking.projection import Projection, project_launch
from tuning.tracking.store import prepare_store
from tuning.training.data import TaskData, load_task_data
from tuning.training.metrics import constant_baseline
from tuning.training.tasks import CRITERIA


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
                    tuner = launch_tuner(launch, data, resources, share.cpus, share.gpus, watcher)
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
