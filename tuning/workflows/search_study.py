"""The study of a launch: its location and its first trials."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import optuna
from optuna.storages import BaseStorage

from data_prep import PreparedDataset
from tuning.config.packaged import find_config
from tuning.config.schema import Task, TrainLaunchConfig, resolve
from tuning.config.search import SearchConfig, SearchLaunchConfig, absolute_storage
from tuning.display.formatting import format_count
from tuning.errors import ChromatuneError
from tuning.launch.find import find_document
from tuning.launch.folder import Launch
from tuning.launch.launch_json import current_config
from tuning.search.plan import SearchPlan, plan_search
from tuning.search.space import Space
from tuning.search.space_file import read_space
from tuning.search.study import open_study, quiet, stored_study, study_location
from tuning.search.study_checks import MARK, check_trials, describe_place
from tuning.search.transfer import best_elsewhere, with_priors
from tuning.search.warm_start import feed_known
from tuning.utils.redaction import HIDDEN, redact
from tuning.workflows.run_launch import Session
from tuning.workflows.train import train_fit

_ADDRESS = "OPTUNA_STORAGE"


def with_hidden_password(config: SearchLaunchConfig) -> SearchLaunchConfig:
    """The configuration without the password of its study, as it is stored."""
    storage = config.search.study_storage
    hidden = None if storage is None else redact(storage)
    search = config.search.model_copy(update={"study_storage": hidden})
    return config.model_copy(update={"search": search})


def config_of(launch: Launch) -> SearchLaunchConfig:
    """The configuration that a search was started with.

    Raises ChromatuneError if it used population-based training, or if its study needs a password,
    which is not stored, and OPTUNA_STORAGE is not set.
    """
    stored = current_config(launch.document["config"])
    if stored["search"].get("scheduler") == "pbt":
        raise ChromatuneError(
            f"{launch.launch_id} is a search with population-based training, which this version "
            "does not have: resume it with the version that began it"
        )
    config = SearchLaunchConfig.model_validate(stored)
    storage = config.search.study_storage
    if storage is None or HIDDEN not in storage:
        return config
    if _ADDRESS not in os.environ:
        raise ChromatuneError(
            f"the study of {launch.launch_id} is in {storage}, whose password is not stored: set "
            f"the environment variable {_ADDRESS} to the whole address"
        )
    search = config.search.model_copy(
        update={"study_storage": absolute_storage(os.environ[_ADDRESS])}
    )
    return config.model_copy(update={"search": search})


def informed(
    task: Task, config: SearchLaunchConfig, dataset: PreparedDataset
) -> SearchLaunchConfig:
    """Write a recipe, and what is transferred from other datasets, into points and priors.

    Raises ChromatuneError for a recipe that does not describe a training, or with nothing to
    transfer.
    """
    search, recipes = config.search, []
    if search.recipe is not None:
        recipe = resolve(TrainLaunchConfig, file=find_config(Path(search.recipe)))
        fit = train_fit(recipe, dataset.size)
        if fit.task != task:
            raise ChromatuneError(f"the recipe {search.recipe} trains a {fit.task}, not a {task}")
        recipes.append(fit)
    if search.transfer:
        recipes += best_elsewhere(config, task, dataset.digest)
    if not recipes:
        return config
    space = read_space(task, search.space, config.training, dataset.size)
    return config.model_copy(update={"search": with_priors(search, space, recipes)})


def plan_of(launch: Launch, config: SearchLaunchConfig) -> SearchPlan:
    """The plan of a search that was started with `config`."""
    size = int(launch.document["dataset_manifest"]["settings"]["size"])
    return plan_search(launch.task, config, size)


def extend_command(launch: Launch, reason: str) -> str:
    """The command that gives a search another hour of the devices whose hours are used up."""
    hours = "--budget-gpu-hours" if "GPU" in reason else "--budget-cpu-hours"
    return launch.command("search", launch.task, "--extend", launch.found_by, hours, "1")


def study_of(launch: Launch, plan: SearchPlan, *, is_over: bool = False) -> optuna.Study:
    """Open the launch's study; a launch without trials creates it.

    Raises ChromatuneError if it is missing, or belongs to another search or program; of a search
    that is over, trials that another program added meanwhile do not matter.
    """
    study = open_study(
        *_location(launch, plan.search),
        plan.objectives,
        {
            "task": launch.task,
            "dataset_digest": launch.document["dataset_digest"],
            "space": plan.search.space,
            "training": plan.config.training.model_dump(mode="json", exclude={"eval_metrics"}),
        },
        launch_id=launch.launch_id,
        is_resumed=bool(launch.trainings),
    )
    if not is_over:
        check_trials(study, f"the {study_place(launch, plan)}", plan.space)
    return study


def study_place(launch: Launch, plan: SearchPlan) -> str:
    """Name the study and where it is, without passwords."""
    return describe_place(*_location(launch, plan.search))


def find_study(name: str, storage_path: str) -> tuple[BaseStorage, int]:
    """The storage of a search's study, and the study's id there; the search is not opened.

    `name` is the launch's id, its folder, or `last`. Raises ChromatuneError if it is no search, or
    if its study is missing.
    """
    launch = Launch(*find_document(name, storage_path))
    if launch.document["kind"] != "search":
        raise ChromatuneError(f"{launch.launch_id} is no search: it has no study")
    return stored_study(*_location(launch, config_of(launch).search))


def _location(launch: Launch, search: SearchConfig) -> tuple[str, str]:
    location = study_location(search.study_storage, launch.storage.uri)
    return location, search.study_name or launch.launch_id


def fill_study(study: optuna.Study, plan: SearchPlan, launch: Launch, session: Session) -> None:
    """Add results of earlier launches, unless switched off, and queue the configured points."""
    if plan.search.warm_start:
        digest = str(launch.document["dataset_digest"])
        runs = {}
        if session.tracking_uri is not None:
            from tuning.tracking.reader import finished_cells

            cells = finished_cells(session.tracking_uri, digest, launch.task)
            runs = {(cell.launch_id, cell.cell_id): cell.run_id for cell in cells}
        fed = feed_known(study, plan, digest, runs)
        if fed.taken or fed.outside:
            session.log(str(fed))
    enqueue(study, plan.space, plan.points, session.log, launch.launch_id)


def enqueue(
    study: optuna.Study,
    space: Space,
    points: Sequence[Mapping[str, Any]],
    log: Callable[[str], None] | None = None,
    launch_id: str = "",
) -> None:
    """Queue configurations for `launch_id` to try first; `log` gets the number of known ones.

    Raises ChromatuneError if one is not in the space.
    """
    checked = [space.checked_point(point) for point in points]
    before = len(study.get_trials(deepcopy=False))
    with quiet():
        for point in checked:
            study.enqueue_trial(point, {MARK: launch_id}, skip_if_exists=True)
    skipped = before + len(checked) - len(study.get_trials(deepcopy=False))
    if skipped and log is not None:
        log(f"skipped {skipped} of {format_count(len(checked), 'point')}: known already")
