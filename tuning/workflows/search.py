"""Start, resume and extend searches."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import optuna
from optuna.exceptions import OptunaError
from sqlalchemy.exc import SQLAlchemyError

from tuning.config.schema import Task
from tuning.config.search import SearchConfig, SearchLaunchConfig
from tuning.errors import ChromatuneError
from tuning.launch.folder import Launch
from tuning.launch.launch_json import read_trainings
from tuning.launch.open_dataset import open_prepared
from tuning.launch.outcomes import LaunchOutcome
from tuning.search.budget import Allowance, Budget
from tuning.search.confirmation import ConfirmedSearch
from tuning.search.ledger import Ledger
from tuning.search.objectives import check_measured
from tuning.search.plan import SearchPlan, plan_search
from tuning.search.study import study_location
from tuning.workflows.address_checks import cluster_of
from tuning.workflows.run_launch import (
    Session,
    Trials,
    check_store,
    load_recorded,
    resumed_config,
    run_launch,
    start_launch,
)
from tuning.workflows.search_results import conclude_search as conclude
from tuning.workflows.search_study import (
    config_of,
    enqueue,
    extend_command,
    fill_study,
    informed,
    plan_of,
    study_of,
    study_place,
    with_hidden_password,
)

__all__ = ["conclude", "extend", "resume", "run_search"]

_ERRORS = (OptunaError, SQLAlchemyError)


def run_search(
    task: Task, config: SearchLaunchConfig, session: Session, *, strict_points: bool = False
) -> LaunchOutcome:
    """Start a search: create its launch and its study, add known results, and run its trials.

    Points outside the space are dropped with a message unless `strict_points`. Raises
    ChromatuneError before any training for whatever is wrong with space, sampler, scheduler,
    points, study storage, resources or tracking store.
    """
    dataset = open_prepared(config.data, session.log)
    config = informed(task, config, dataset)
    plan = plan_search(task, config, dataset.size, strict_points=strict_points)
    study_location(config.search.study_storage, config.storage_path)
    for line in plan.advice:
        session.log(line)

    def make_trials(launch: Launch) -> Trials:
        check_measured(plan.objectives, launch.document["baseline"])
        session.log(study_place(launch, plan))
        study = study_of(launch, plan)
        fill_study(study, plan, launch, session)
        budget = Budget(launch.storage, config.resources.time_budget_s)
        search = config.search
        budget.allow(
            Allowance(search.num_samples, search.budget_gpu_hours, search.budget_cpu_hours)
        )
        return _trials(launch, plan, study, budget)

    return start_launch(
        *("search", task, config, dataset, [], session),
        make_trials=make_trials,
        planes=plan.space.needs_planes,
        written_config=with_hidden_password(config),
        errors=_ERRORS,
    )


def resume(
    launch: Launch,
    session: Session,
    address: str | None,
    backend: str | None,
    more: Allowance | None = None,
    points: Sequence[Mapping[str, Any]] = (),
) -> LaunchOutcome:
    """Resume a search: first its unfinished trials, then new ones up to its number of trials.

    `more` adds trials and hours of devices; `points` are tried first. Raises ChromatuneError if the
    hours are used up, or if the dataset has changed.
    """
    config = resumed_config(config_of(launch), address, backend)
    plan = plan_of(launch, config)
    check_store(session.tracking_uri)

    def make_trials(launch: Launch) -> Trials:
        session.log(study_place(launch, plan))
        study = study_of(launch, plan)
        budget = Budget(launch.storage, config.resources.time_budget_s)
        undo = functools.partial(budget.restore, budget.allowance, is_over=budget.is_over)
        enqueue(study, plan.space, points, session.log, launch.launch_id)
        if more is not None:
            budget.allow(dataclasses.replace(more, since=_begun(launch)))
        trials = _trials(launch, plan, study, budget, undo=None if more is None else undo)
        if not trials.source.is_over and (reason := budget.used_up()):
            undo()
            raise ChromatuneError(f"{reason}; {extend_command(launch, reason)} allows another hour")
        return trials

    return run_launch(
        *(launch, make_trials, config, session),
        data=functools.partial(load_recorded, launch, planes=plan.space.needs_planes),
        errors=_ERRORS,
    )


def extend(
    task: Task,
    launch: Launch,
    session: Session,
    added: Mapping[str, Any],
    *,
    address: str | None,
    backend: str | None,
) -> LaunchOutcome:
    """Resume a search with further trials: `added` are keys of the section `search`.

    Without a number of trials it gets the default number, but none if it gets more hours: those are
    for the trials there are. Raises ChromatuneError if the launch is no search for `task`.
    """
    if launch.task != task or not launch.document["config"].get("search"):
        raise ChromatuneError(f"{launch.launch_id} is not a {task} search")
    hours = added.get("budget_gpu_hours"), added.get("budget_cpu_hours")
    default = 0 if any(hours) else SearchConfig.model_fields["num_samples"].default
    more = Allowance(added.get("num_samples", default), *hours)
    points = added.get("points", ())
    return resume(launch, session, cluster_of(launch, address), backend, more, points)


def _trials(
    launch: Launch,
    plan: SearchPlan,
    study: optuna.Study,
    budget: Budget,
    undo: Callable[[], None] | None = None,
) -> Trials:
    total = budget.allowance.num_samples
    ledger = Ledger(launch, study, plan, total, budget.allowance.since)
    ledger.reconcile()
    first = plan.objectives[0]
    return Trials(
        ConfirmedSearch(ledger) if plan.search.confirm else ledger,
        budget,
        plan.space.models,
        first.name,
        first.maximize,
        is_judged=True,
        placeholders=[f"trial {number}" for number in range(_begun(launch), total)],
        longest=plan.space.most_epochs,
        undo=undo,
    )


def _begun(launch: Launch) -> int:
    """The number of trials that a search has begun, without those that confirm others."""
    trainings = read_trainings(launch.storage, launch.document)
    return sum(training.get("confirms") is None for training in trainings)
