"""The study of a launch: where it lies, what it begins with."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import optuna
from rich.console import Console

from tuning.config.search import SearchLaunchConfig
from tuning.display.formatting import format_count
from tuning.errors import ChromatuneError
from tuning.launch.document import current_config
from tuning.launch.folder import Launch
from tuning.search.plan import SearchPlan
from tuning.search.space import Space
from tuning.search.study import open_study, quiet, study_location
from tuning.search.warm_start import feed_known
from tuning.utils.redaction import HIDDEN, redact

_ADDRESS = "OPTUNA_STORAGE"


def with_hidden_password(config: SearchLaunchConfig) -> SearchLaunchConfig:
    """The configuration as it may be written down."""
    storage = config.search.study_storage
    hidden = None if storage is None else redact(storage)
    search = config.search.model_copy(update={"study_storage": hidden})
    return config.model_copy(update={"search": search})


def config_of(launch: Launch) -> SearchLaunchConfig:
    """The configuration that a search was begun with.

    Raises ChromatuneError if its study lies behind a password, which is not kept, and
    OPTUNA_STORAGE does not tell it.
    """
    config = SearchLaunchConfig.model_validate(current_config(launch.document["config"]))
    storage = config.search.study_storage
    if storage is None or HIDDEN not in storage:
        return config
    if _ADDRESS not in os.environ:
        raise ChromatuneError(
            f"the study of {launch.launch_id} lies in {storage}, whose password was not kept: give "
            f"the whole address in the environment variable {_ADDRESS}"
        )
    search = config.search.model_copy(update={"study_storage": os.environ[_ADDRESS]})
    return config.model_copy(update={"search": search})


def study_of(launch: Launch, plan: SearchPlan) -> optuna.Study:
    """Open the launch's study, or make that of a launch which has only begun.

    Raises ChromatuneError if it is one of something else, or is gone.
    """
    location = study_location(plan.search.study_storage, launch.storage.uri)
    if "://" not in location and launch.trainings and not Path(location).exists():
        raise ChromatuneError(f"the study of {launch.launch_id} is gone: put it back to {location}")
    return open_study(
        location,
        plan.search.study_name or launch.launch_id,
        plan.objectives,
        {
            "task": launch.task,
            "dataset_digest": launch.document["dataset_digest"],
            "space": plan.search.space,
            "training": plan.config.training.model_dump(mode="json"),
        },
    )


def begin_study(
    study: optuna.Study,
    plan: SearchPlan,
    launch: Launch,
    tracking_uri: str | None,
    console: Console,
) -> None:
    """Feed what earlier launches found, unless told otherwise, and queue the configured points."""
    if plan.search.warm_start:
        _feed(study, plan, launch, tracking_uri, console)
    enqueue(study, plan.space, plan.search.points, console)


def enqueue(
    study: optuna.Study,
    space: Space,
    points: Sequence[Mapping[str, Any]],
    console: Console | None = None,
) -> None:
    """Queue configurations to be tried first, and tell `console` of those that are known already.

    Raises ChromatuneError if one is not in the space.
    """
    checked = [space.checked_point(point) for point in points]
    before = len(study.get_trials(deepcopy=False))
    with quiet():
        for point in checked:
            study.enqueue_trial(point, skip_if_exists=True)
    skipped = before + len(checked) - len(study.get_trials(deepcopy=False))
    if skipped and console is not None:
        what = f"{skipped} of {format_count(len(checked), 'point')}"
        console.print(f"{what} known already, not tried again", markup=False)


def _feed(
    study: optuna.Study,
    plan: SearchPlan,
    launch: Launch,
    tracking_uri: str | None,
    console: Console,
) -> None:
    digest = str(launch.document["dataset_digest"])
    runs = {}
    if tracking_uri is not None:
        from tuning.tracking.reader import finished_cells

        cells = finished_cells(tracking_uri, digest, launch.task)
        runs = {(cell.launch_id, cell.cell_id): cell.run_id for cell in cells}
    fed = feed_known(study, plan.space, plan.objectives, plan.config.storage_path, digest, runs)
    if fed.taken or fed.outside:
        found = format_count(fed.taken, "earlier result")
        outside = f"; {fed.outside} on the same data lie outside the space" if fed.outside else ""
        console.print(f"begins with {found}{outside}", markup=False)
