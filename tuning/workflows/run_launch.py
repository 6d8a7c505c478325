"""Runs a launch: the one way from trials to their outcome, whatever the trials and the backend."""

from __future__ import annotations

import contextlib
import dataclasses
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from data_prep import PreparedDataset
from models import UserCode
from tuning.backend import make_backend
from tuning.backend.base import Job
from tuning.config.imports import distinct, import_code
from tuning.config.schema import LaunchConfig, Task
from tuning.display.heartbeat import Heartbeat
from tuning.display.progress import LaunchProgress
from tuning.launch.checkpoint_choice import delete_finished
from tuning.launch.folder import Launch, create_launch, find_launch
from tuning.launch.limits import TimeLimit
from tuning.launch.live import published
from tuning.launch.notify import Notifier
from tuning.launch.open_dataset import open_recorded, recorded, task_data
from tuning.launch.outcomes import LaunchOutcome, cell_outcomes
from tuning.launch.tracker import Tracker
from tuning.launch.trainings import Training, need_planes
from tuning.launch.trial import TrialInputs
from tuning.launch.trial_lifecycle import STATUS, LaunchMonitor
from tuning.launch.trial_source import FixedTrials, TrialSource
from tuning.training.data import TaskData
from tuning.training.metrics import constant_baseline
from tuning.training.tasks import CRITERIA
from tuning.workflows.interruptions import (
    closing_on_error,
    errors_with_resume_hint,
    sigterm_as_ctrl_c,
)

if TYPE_CHECKING:
    from rich.console import Console


Config = TypeVar("Config", bound=LaunchConfig)


@dataclasses.dataclass(frozen=True)
class Session:
    """How a command runs launches.

    Without a `tracking_uri`, nothing is tracked; without a `console`, messages go to stderr.
    `on_begin` is called when nothing remains but to train. With `reuse`, a launch of the very same
    trainings on the same data is resumed rather than a new one started, or read if it is finished.
    With `take_over`, it is resumed even if another process seems to run it. The URL `notify` is
    informed of its best cells and of its end.
    """

    tracking_uri: str | None
    console: Console | None = None
    on_begin: Callable[[Launch], None] | None = None
    reuse: bool = False
    take_over: bool = False
    notify: str | None = None

    def log(self, text: str) -> None:
        """Print a message."""
        if self.console is None:
            print(text, file=sys.stderr, flush=True)
        else:
            self.console.print(text, soft_wrap=True, markup=False)


@dataclasses.dataclass(frozen=True)
class Trials:
    """What `run_launch` runs: where trials come from, what limits them.

    `models` are those that may be trained. `metric` is shown by the progress view; with
    `is_judged`, trials report it to the source. `placeholders` stand for
    trials that are not known yet, of up to `longest` epochs. `undo` is called if no trial begins.
    """

    source: TrialSource
    limit: TimeLimit
    models: Sequence[str]
    metric: str
    maximize: bool
    is_judged: bool = False
    placeholders: Sequence[str] = ()
    longest: int = 0
    undo: Callable[[], None] | None = None


def start_launch(
    kind: str,
    task: Task,
    config: LaunchConfig,
    dataset: PreparedDataset,
    trainings: Sequence[Training],
    session: Session,
    *,
    make_trials: Callable[[Launch], Trials] | None = None,
    planes: bool | None = None,
    written_config: LaunchConfig | None = None,
    code: Sequence[UserCode] = (),
    errors: tuple[type[Exception], ...] = (),
    **details: Any,
) -> LaunchOutcome:
    """Create a launch and run it; `details` are passed to `create_launch`.

    `code` are files that it needs beside those of its configuration. `written_config` is the
    configuration as it may be stored, by default the one given. Without `make_trials`, the trials
    are `trainings`.
    """
    wants_planes = need_planes(trainings) if planes is None else planes
    data = task_data(config.data, dataset, task, planes=wants_planes)
    stored = (written_config or config).model_copy(update={"data": recorded(config.data, dataset)})
    files = distinct([*import_code(config.imports), *code])
    launch = None
    if session.reuse:
        parent = details.get("parent_model")
        launch = find_launch(config.storage_path, kind, dataset.digest, trainings, parent, files)
    is_new = launch is None
    with sigterm_as_ctrl_c(), contextlib.ExitStack() as end:
        if launch is None:
            # Ray takes seconds to start, and so does what is checked and measured until then.
            end.enter_context(make_backend(config.resources.backend).starting(config.address))
            check_store(session.tracking_uri)
            launch = create_launch(
                *(kind, task, stored, dataset, trainings),
                tracking_uri=session.tracking_uri or "",
                baseline=constant_baseline(data.val, data.baseline_ab, task, "val_"),
                code=files,
                **details,
            )
        return run_launch(
            launch,
            make_trials or fixed_trials,
            config,
            session,
            data=lambda: data,
            is_new=is_new,
            errors=errors,
        )


def fixed_trials(launch: Launch) -> Trials:
    """The trials of a launch whose trainings are listed in its document."""
    criterion = CRITERIA[launch.task]
    return Trials(
        FixedTrials(launch),
        TimeLimit(launch.config.resources.time_budget_s),
        list(dict.fromkeys(training.fit.model for training in launch.trainings)),
        f"val_{criterion.name}",
        criterion.higher_is_better,
    )


def run_launch(
    launch: Launch,
    make_trials: Callable[[Launch], Trials],
    config: LaunchConfig,
    session: Session,
    *,
    data: Callable[[], TaskData],
    is_new: bool = False,
    errors: tuple[type[Exception], ...] = (),
) -> LaunchOutcome:
    """Train all that is not trained yet and track it.

    Returns when every trial has ended, a budget is used up, or the user has stopped it. `data` is
    called only if something is left to train. `errors` are handled as storage that fails: see
    `errors_with_resume_hint`. Raises ChromatuneError before any training if the tracking store or
    the resources are not available, or if another process runs the launch; of a new launch nothing
    is left behind then.
    """
    with (
        sigterm_as_ctrl_c(),  # and below, since joining a cluster replaces the handler
        errors_with_resume_hint(launch, session.log, *errors),
        launch.held(take_over=session.take_over),
        contextlib.ExitStack() as undo,
    ):
        if is_new:
            undo.callback(launch.storage.delete)
        trials = make_trials(launch)
        if trials.undo is not None:
            undo.callback(trials.undo)
        source = trials.source
        if source.is_over:
            undo.pop_all()
            trials.limit.ended(is_over=True)
            deliver(launch, session.tracking_uri)
            delete_finished(launch)
            return LaunchOutcome(launch, cell_outcomes(launch))
        task_data = data()
        tracker = make_tracker(launch, session.tracking_uri)
        if session.notify is not None:
            tracker = Notifier(tracker, launch, session.notify, session.log)
        backend = make_backend(config.resources.backend)
        job = Job(launch, config.resources, config.address, trials.models, session.log)
        with backend.session(job):
            tracker.start()
            if session.on_begin is not None:
                session.on_begin(launch)
            undo.pop_all()
            with sigterm_as_ctrl_c(), closing_on_error(tracker):
                with (
                    _progress(launch, trials, session.console) as progress,
                    published(launch.storage, progress.live),
                ):
                    monitor = LaunchMonitor(
                        launch.storage,
                        task_data,
                        source,
                        tracker,
                        progress,
                        trials.limit,
                        config.resources.max_failures,
                        trials.placeholders,
                    )
                    objective = trials.metric if trials.is_judged else None
                    inputs = TrialInputs(launch.storage.uri, task_data, objective, launch.code)
                    backend.run(job, monitor, inputs)
                    monitor.stopped()
                outcome = LaunchOutcome(
                    launch,
                    cell_outcomes(launch, monitor.messages),
                    is_over=source.is_over,
                    ended_by=monitor.ended_by,
                )
                trials.limit.ended(is_over=source.is_over)
                text = f"{launch.launch_id}: writing to the tracking store"
                with Heartbeat(lambda: session.log(text)):
                    undelivered = tracker.close(_run_status(outcome, is_fixed=source.is_fixed))
        delete_finished(launch)
        return dataclasses.replace(outcome, undelivered=undelivered)


def resumed_config(
    config: Config, address: str | None = None, backend: str | None = None
) -> Config:
    """The configuration of a launch as it is resumed: elsewhere, or on another backend."""
    resources = config.resources
    if backend is not None:
        resources = resources.model_copy(update={"backend": backend})
    return config.model_copy(update={"address": address or config.address, "resources": resources})


def load_recorded(launch: Launch, *, planes: bool) -> TaskData:
    """Load the data of a launch that is resumed; DataError if a byte of them has changed."""
    dataset = open_recorded(launch)
    dataset.verify()
    return task_data(launch.config.data, dataset, launch.task, planes=planes)


def check_store(tracking_uri: str | None) -> None:
    """Open the tracking store, if any; ChromatuneError if it is not available."""
    if tracking_uri is not None:
        from tuning.tracking.store import prepare_store

        prepare_store(tracking_uri)


def make_tracker(launch: Launch, tracking_uri: str | None) -> Tracker:
    """Build what tracks the launch; MLflow is imported only for a tracking URI."""
    if tracking_uri is None:
        return Tracker()
    from tuning.tracking.delivery import Projection

    check_store(tracking_uri)  # before Ray, which takes longer to start
    return Projection(launch.storage, tracking_uri)


def deliver(launch: Launch, tracking_uri: str | None) -> None:
    """Bring the tracking store, if any, to what the launch folder holds."""
    if tracking_uri is not None:
        from tuning.tracking.delivery import project_launch

        project_launch(launch.storage, tracking_uri)


@contextlib.contextmanager
def _progress(launch: Launch, trials: Trials, console: Console | None) -> Iterator[LaunchProgress]:
    """The view of the launch, which shows what earlier sessions trained as done."""
    rows = [(training.training_id, training.epochs) for training in launch.trainings]
    rows += [(name, trials.longest) for name in trials.placeholders]
    view = LaunchProgress(console, launch.launch_id, rows, trials.metric, trials.maximize)
    with view as progress:
        cells = cell_outcomes(launch)
        unfinished = {cell.training.training_id for cell in cells if cell.outcome not in STATUS}
        for cell in cells:
            name = cell.training.training_id
            if name not in unfinished:
                status = STATUS[cell.outcome]
                progress.update(name, cell.kept_epoch, cell.metrics, status)
        yield progress


def _run_status(outcome: LaunchOutcome, *, is_fixed: bool) -> str:
    """Status of the launch's run in MLflow.

    Of fixed trials that is the status of the worst one. A search is finished when it has a result,
    also when a budget ended it.
    """
    if not outcome.is_over and (is_fixed or outcome.ended_by is None):
        return "KILLED"
    outcomes = {cell.outcome for cell in outcome.cells}
    if is_fixed:
        return "FINISHED" if outcomes == {"finished"} else "FAILED"
    return "FINISHED" if any(cell.metrics for cell in outcome.cells) else "FAILED"
