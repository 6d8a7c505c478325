"""Resume any launch, and say what it has come to.

A kind of launch is a module of this package, with a function `conclude` and, where its trials are
not listed in the launch folder, a function `resume`.
"""

from __future__ import annotations

import functools
import importlib
from typing import Any

from tuning.launch.folder import Launch
from tuning.launch.outcomes import LaunchOutcome
from tuning.launch.trainings import need_planes
from tuning.workflows.address_checks import cluster_of
from tuning.workflows.launch_results import Conclusion
from tuning.workflows.run_launch import (
    Session,
    fixed_trials,
    load_recorded,
    resumed_config,
    run_launch,
)


def resume_launch(
    launch: Launch, session: Session, *, address: str | None = None, backend: str | None = None
) -> LaunchOutcome:
    """Resume a launch with the configuration it began with.

    Finished cells stay; trials that had begun continue from their last checkpoint. Raises
    ChromatuneError or DataError if its data are no longer what they were, to the byte.
    """
    resume = getattr(_workflow(launch), "resume", _resume_fixed)
    outcome: LaunchOutcome = resume(launch, session, cluster_of(launch, address), backend)
    return outcome


def conclude(outcome: LaunchOutcome, tracking_uri: str | None) -> Conclusion:
    """Say what the launch has come to, as the command that began it would."""
    conclusion: Conclusion = _workflow(outcome.launch).conclude(outcome, tracking_uri)
    return conclusion


def _resume_fixed(
    launch: Launch, session: Session, address: str | None, backend: str | None
) -> LaunchOutcome:
    return run_launch(
        launch,
        fixed_trials,
        resumed_config(launch.config, address, backend),
        session,
        data=functools.partial(load_recorded, launch, planes=need_planes(launch.trainings)),
    )


def _workflow(launch: Launch) -> Any:
    """Import the module of a kind only when it is needed: some import MLflow and Optuna."""
    return importlib.import_module(f"tuning.workflows.{launch.kind}")
