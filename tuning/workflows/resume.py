"""The kinds of launches: how each is resumed, and what it comes to."""

from __future__ import annotations

import dataclasses
import functools
import importlib
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from tuning.launch.folder import Launch
from tuning.launch.outcomes import LaunchOutcome
from tuning.launch.trainings import need_planes
from tuning.workflows.conclusion import Conclusion
from tuning.workflows.launching import fixed_trials, load_recorded, resumed_config, run_launch
from tuning.workflows.trust import cluster_of

if TYPE_CHECKING:
    from rich.console import Console


def resume_launch(
    launch: Launch,
    *,
    address: str | None = None,
    backend: str | None = None,
    tracking_uri: str | None,
    console: Console | None,
    take_over: bool = False,
) -> LaunchOutcome:
    """Resume a launch with the configuration it began with.

    Finished cells stay; trials that had begun continue from their last checkpoint. Raises
    ChromatuneError or DataError if its data are no longer what they were, to the byte.
    """
    outcome: LaunchOutcome = _function(KINDS[launch.kind].resume)(
        launch,
        address=cluster_of(launch, address),
        backend=backend,
        tracking_uri=tracking_uri,
        console=console,
        take_over=take_over,
    )
    return outcome


def conclude(outcome: LaunchOutcome, tracking_uri: str | None) -> Conclusion:
    """Say what the launch has come to, as the command that began it would."""
    conclusion: Conclusion = _function(KINDS[outcome.launch.kind].conclude)(outcome, tracking_uri)
    return conclusion


def resume_fixed(
    launch: Launch,
    *,
    address: str | None,
    backend: str | None,
    tracking_uri: str | None,
    console: Console | None,
    take_over: bool,
) -> LaunchOutcome:
    return run_launch(
        launch,
        fixed_trials,
        resumed_config(launch.config, address, backend),
        data=functools.partial(load_recorded, launch, planes=need_planes(launch.trainings)),
        tracking_uri=tracking_uri,
        console=console,
        take_over=take_over,
    )


def _function(name: str) -> Callable[..., Any]:
    """Import a function when it is needed: those of some kinds import MLflow and Optuna."""
    module, _, function = name.partition(":")
    found: Callable[..., Any] = getattr(importlib.import_module(module), function)
    return found


@dataclasses.dataclass(frozen=True)
class Kind:
    """What a kind of launch does its own way, as `module:function`."""

    conclude: str
    resume: str = "tuning.workflows.resume:resume_fixed"


KINDS: Mapping[str, Kind] = {
    "grid": Kind("tuning.workflows.grid:conclude_grid"),
    "finals": Kind("tuning.workflows.finals:conclude_finals"),
    "finetune": Kind("tuning.workflows.finetune:conclude_finetune"),
    "train": Kind("tuning.workflows.train:conclude_train"),
    "search": Kind(
        "tuning.workflows.search_conclusion:conclude_search",
        "tuning.workflows.search:resume_search",
    ),
}
