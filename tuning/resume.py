"""Going on with a launch of any kind."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping

from rich.console import Console

from tuning.conclusion import Conclusion
from tuning.data import load_task_data
from tuning.datasets import open_prepared
from tuning.errors import ChromatuneError
from tuning.finals import conclude_finals
from tuning.finetune import conclude_finetune
from tuning.grid import conclude_grid
from tuning.launch import Launch
from tuning.outcomes import LaunchOutcome
from tuning.redaction import HIDDEN
from tuning.runner import run_launch
from tuning.search.conclude import conclude_search
from tuning.search.run import resume_search
from tuning.spaces import need_planes
from tuning.tracking_store import tracking_uri
from tuning.train import conclude_train

_CONCLUSIONS: Mapping[str, Callable[[LaunchOutcome, str], Conclusion]] = {
    "grid": lambda outcome, _: conclude_grid(outcome),
    "finals": conclude_finals,
    "finetune": conclude_finetune,
    "train": conclude_train,
    "search": conclude_search,
}


def store_of(launch: Launch, option: str | None) -> str:
    """The tracking URI to resume with: `option` or MLFLOW_TRACKING_URI, else the launch's own.

    Raises ChromatuneError if the launch's own had a password, which is not kept.
    """
    if option is None and "MLFLOW_TRACKING_URI" not in os.environ:
        option = launch.tracking_uri
        if HIDDEN in option:
            raise ChromatuneError(
                f"launch {launch.launch_id} writes to {option}, whose password was not kept: give "
                f"the whole address with --tracking-uri or MLFLOW_TRACKING_URI"
            )
    return tracking_uri(option)


def resume_launch(
    launch: Launch, *, address: str | None, tracking_uri: str, console: Console
) -> LaunchOutcome:
    """Go on with a launch, with the configuration it began with.

    Finished cells stay; trials that had begun go on from their last checkpoint. Raises
    ChromatuneError if its data are no longer what they were.
    """
    if launch.kind not in _CONCLUSIONS:
        raise ChromatuneError(f"{launch.launch_id} is a launch of the unknown kind '{launch.kind}'")
    if launch.kind == "search":
        return resume_search(launch, address=address, tracking_uri=tracking_uri, console=console)
    config = launch.config
    return run_launch(
        launch,
        load_task_data(
            open_prepared(config.data), launch.task, planes=need_planes(launch.trainings)
        ),
        config.resources,
        address=address or config.address,
        tracking_uri=tracking_uri,
        console=console,
        resume=True,
    )


def conclude(outcome: LaunchOutcome, tracking_uri: str) -> Conclusion:
    """Say what the launch has come to, as the command that began it would."""
    return _CONCLUSIONS[outcome.launch.kind](outcome, tracking_uri)
