"""Runs a search on Ray Tune: begins it, goes on with it, extends it."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import optuna
from optuna.exceptions import OptunaError
from rich.console import Console
from sqlalchemy.exc import SQLAlchemyError

from tuning.backend.cluster import await_resources, connected
from tuning.backend.node_checks import check_nodes
from tuning.backend.resources import TrialShares
from tuning.backend.schedulers import make_scheduler
from tuning.backend.search_callback import SearchWatcher
from tuning.backend.search_tuner import search_tuner
from tuning.backend.tuner import run_to_its_end
from tuning.config.schema import Task
from tuning.config.search import SearchLaunchConfig
from tuning.display.progress import LaunchProgress, Status
from tuning.launch.attempts import delete_finished, discard_ray_state
from tuning.launch.datasets import open_prepared, recorded
from tuning.launch.folder import Launch, create_launch
from tuning.launch.outcomes import CellOutcome, LaunchOutcome, cell_outcomes
from tuning.search.budget import Allowance, Budget
from tuning.search.ledger import HandOut, Ledger
from tuning.search.plan import SearchPlan, plan_search
from tuning.search.space_file import example, needs_planes
from tuning.search.study import study_location
from tuning.search.summary import summaries
from tuning.tracking.projection import Projection, project_launch
from tuning.tracking.store import prepare_store
from tuning.training.data import TaskData, load_task_data
from tuning.training.metrics import constant_baseline
from tuning.workflows.launching import (
    check_data,
    sigterm_as_ctrl_c,
    told_how_to_go_on,
    tracked,
)
from tuning.workflows.search_study import (
    begin_study,
    config_of,
    enqueue,
    study_of,
    with_hidden_password,
)

_STATUS: Mapping[str, Status] = {
    "finished": "done",
    "pruned": "pruned",
    "diverged": "diverged",
    "failed": "failed",
}


@dataclasses.dataclass(frozen=True)
class SearchOutcome(LaunchOutcome):
    """What a search has come to: whether it `is_over`, or which budget it was `ended_by`."""

    is_over: bool = True
    ended_by: str | None = None

    @property
    def stopped(self) -> bool:
        """Whether trials are left to run, be it that none of them was running."""
        return not self.is_over


def run_search(
    task: Task, config: SearchLaunchConfig, *, tracking_uri: str, console: Console
) -> SearchOutcome:
    """Begin a search: make its launch and its study, feed what is known, and run its trials.

    Raises ChromatuneError before any training for whatever is wrong with space, sampler, scheduler,
    points, study storage, resources or tracking store.
    """
    dataset = open_prepared(config.data)
    config = config.model_copy(update={"data": recorded(config.data, dataset)})
    plan = plan_search(task, config, dataset.size)
    make_scheduler(plan.search, plan.space, plan.objectives[0])  # before anything is written
    study_location(config.search.study_storage, config.storage_path)
    prepare_store(tracking_uri)
    data = load_task_data(dataset, task, planes=needs_planes(plan.space))
    for line in plan.advice:
        console.print(line, soft_wrap=True, markup=False)
    launch = create_launch(
        *("search", task, with_hidden_password(config), dataset, []),
        tracking_uri=tracking_uri,
        baseline=constant_baseline(data.val, data.baseline_ab, task, "val_"),
    )
    with (
        _told_how_to_go_on(launch, console),
        contextlib.ExitStack() as withdrawal,
        launch.held(),
    ):
        withdrawal.callback(launch.storage.delete)
        study = study_of(launch, plan)
        begin_study(study, plan, launch, tracking_uri, console)
        budget = Budget(launch.storage, config.resources.time_budget_s)
        search = config.search
        budget.allow(
            Allowance(search.num_samples, search.budget_gpu_hours, search.budget_cpu_hours)
        )
        return _run(launch, plan, study, budget, data, tracking_uri, console, withdrawal)


def resume_search(
    launch: Launch,
    *,
    address: str | None,
    tracking_uri: str,
    console: Console,
    more: Allowance | None = None,
    points: Sequence[Mapping[str, Any]] = (),
) -> SearchOutcome:
    """Go on with a search: first what was begun, then new suggestions until its number of trials.

    With `more`, so many trials and hours of devices come on top; `points` are tried first. Raises
    ChromatuneError if the hours are used up, or if the data are no longer what they were.
    """
    config = config_of(launch)
    if address is not None:
        config = config.model_copy(update={"address": address})
    dataset = open_prepared(config.data)
    plan = plan_search(launch.task, config, dataset.size)
    make_scheduler(plan.search, plan.space, plan.objectives[0])  # before anything is written
    data = load_task_data(dataset, launch.task, planes=needs_planes(plan.space))
    check_data(launch, data)
    prepare_store(tracking_uri)
    with (
        _told_how_to_go_on(launch, console),
        launch.held(),
        contextlib.ExitStack() as withdrawal,
    ):
        study = study_of(launch, plan)
        budget = Budget(launch.storage, config.resources.time_budget_s)
        enqueue(study, plan.space, points, console)
        if more is not None:
            withdrawal.callback(budget.restore, budget.allowance, is_over=budget.is_over)
            budget.allow(more)
        return _run(launch, plan, study, budget, data, tracking_uri, console, withdrawal)


def _told_how_to_go_on(launch: Launch, console: Console) -> contextlib.AbstractContextManager[None]:
    return told_how_to_go_on(launch, console, OptunaError, SQLAlchemyError)


def _run(
    launch: Launch,
    plan: SearchPlan,
    study: optuna.Study,
    budget: Budget,
    data: TaskData,
    tracking_uri: str,
    console: Console,
    withdrawal: contextlib.ExitStack,
) -> SearchOutcome:
    """Run all that is left to run; `withdrawal` is called off when the first trial may begin."""
    ledger = Ledger(
        *(launch, study, plan.space, plan.objectives, plan.search, plan.seed),
        total=budget.allowance.num_samples,
    )
    ledger.reconcile()
    if ledger.is_over:
        budget.ended(is_over=True)
        delete_finished(launch)
        project_launch(launch.storage, tracking_uri)
        return SearchOutcome(launch, cell_outcomes(launch, {}), [])
    budget.check_left(f"chromatune search {launch.task} --extend {launch.found_by}")
    projection = Projection(launch.storage, tracking_uri)
    with connected(plan.config.address):
        await_resources(plan.config.resources, console)
        shares = TrialShares(plan.config.resources, data)
        shares.check(plan.space.fit_config(example(plan.space)))
        check_nodes(launch.storage, console)
        projection.start()
        withdrawal.pop_all()
        with sigterm_as_ctrl_c(), tracked(projection):
            with _progress(launch, plan, study, budget, console) as (progress, begun):
                watcher = SearchWatcher(launch.storage, data, ledger, budget, projection, progress)
                discard_ray_state(launch.storage)
                tuner = search_tuner(launch, plan, ledger, shares, data, watcher, begun)
                run_to_its_end(tuner)
                watcher.stopped()
            cells = cell_outcomes(launch, {})
            is_over = ledger.is_over
            budget.ended(is_over=is_over)
            status = _run_status(cells, has_ended=is_over or watcher.out_of is not None)
            undelivered = projection.close(status)
    delete_finished(launch)
    out_of = watcher.out_of
    return SearchOutcome(launch, cells, undelivered, out_of is not None, is_over, out_of)


@contextlib.contextmanager
def _progress(
    launch: Launch,
    plan: SearchPlan,
    study: optuna.Study,
    budget: Budget,
    console: Console,
) -> Iterator[tuple[LaunchProgress, Callable[[HandOut], None]]]:
    """The view of the search; trials that nobody has asked for yet wait under a number."""
    known = {training.training_id: training for training in launch.trainings}
    trials = summaries(launch, study, plan.objectives)
    ended = [one for one in trials if one.name in known and one.outcome in _STATUS]
    to_come = [f"trial {number}" for number in range(len(known), budget.allowance.num_samples)]
    trainings = [(name, training.epochs) for name, training in known.items()]
    longest = plan.space.most_epochs
    first = plan.objectives[0]

    def begun(hand_out: HandOut) -> None:
        name = hand_out.training.training_id
        if name not in known and to_come:
            progress.rename(to_come.pop(0), name, hand_out.training.epochs)

    with LaunchProgress(
        console,
        launch.launch_id,
        [*trainings, *((name, longest) for name in to_come)],
        first.name,
        first.maximize,
    ) as progress:
        for trial in ended:
            if trial.values:
                progress.update(trial.name, trial.kept_epoch or 0, {first.name: trial.values[0]})
            progress.update(trial.name, trial.epochs, {}, status=_STATUS[trial.outcome])
        yield progress, begun


def _run_status(cells: Sequence[CellOutcome], *, has_ended: bool) -> str:
    """Status of the parent run in MLflow: a search that a budget ended has ended as meant."""
    if not has_ended:
        return "KILLED"
    has_result = any(cell.metrics for cell in cells)
    return "FINISHED" if has_result else "FAILED"
