"""Going on with a launch of any kind."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from rich.console import Console

from tuning.conclusion import Conclusion
from tuning.data import load_task_data
from tuning.datasets import open_prepared
from tuning.errors import ChromatuneError
from tuning.finals import conclude_finals
from tuning.finetune import conclude_finetune
from tuning.grid import conclude_grid
from tuning.launch import Launch, open_launch
from tuning.outcomes import LaunchOutcome
from tuning.runner import run_launch

_CONCLUSIONS: Mapping[str, Callable[[LaunchOutcome, str], Conclusion]] = {
    "grid": lambda outcome, _: conclude_grid(outcome),
    "finals": conclude_finals,
    "finetune": conclude_finetune,
}


def resume_launch(
    name: str, storage_path: str, *, address: str | None, tracking_uri: str, console: Console
) -> LaunchOutcome:
    """Go on with the launch `name` (id, folder or `last`) with the configuration it began with.

    Finished cells stay; trials that had begun go on from their last checkpoint. Raises
    ChromatuneError if there is no such launch or its data are no longer what they were.
    """
    return continue_launch(
        open_launch(name, storage_path), address=address, tracking_uri=tracking_uri, console=console
    )


def continue_launch(
    launch: Launch, *, address: str | None, tracking_uri: str, console: Console
) -> LaunchOutcome:
    """Go on with an opened launch."""
    if launch.kind not in _CONCLUSIONS:
        raise ChromatuneError(f"{launch.launch_id} is a launch of the unknown kind '{launch.kind}'")
    config = launch.config
    return run_launch(
        launch,
        load_task_data(open_prepared(config.data), launch.task),
        config.resources,
        address=address or config.address,
        tracking_uri=tracking_uri,
        console=console,
        resume=True,
    )


def conclude(outcome: LaunchOutcome, tracking_uri: str) -> Conclusion:
    """Say what the launch has come to, as the command that began it would."""
    return _CONCLUSIONS[outcome.launch.kind](outcome, tracking_uri)
