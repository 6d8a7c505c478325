"""Going on with a launch of any kind."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from rich.console import Console

from tuning.launch.datasets import open_prepared
from tuning.launch.folder import Launch
from tuning.launch.outcomes import LaunchOutcome
from tuning.launch.trainings import need_planes
from tuning.training.data import load_task_data
from tuning.workflows.conclusion import Conclusion
from tuning.workflows.finals import conclude_finals
from tuning.workflows.finetune import conclude_finetune
from tuning.workflows.grid import conclude_grid
from tuning.workflows.launching import run_launch
from tuning.workflows.search import resume_search
from tuning.workflows.search_conclusion import conclude_search
from tuning.workflows.train import conclude_train
from tuning.workflows.trust import cluster_of

_CONCLUSIONS: Mapping[str, Callable[[LaunchOutcome, str], Conclusion]] = {
    "grid": lambda outcome, _: conclude_grid(outcome),
    "finals": conclude_finals,
    "finetune": conclude_finetune,
    "train": conclude_train,
    "search": conclude_search,
}


def resume_launch(
    launch: Launch, *, address: str | None, tracking_uri: str, console: Console
) -> LaunchOutcome:
    """Go on with a launch, with the configuration it began with.

    Finished cells stay; trials that had begun go on from their last checkpoint. Raises
    ChromatuneError or DataError if its data are no longer what they were, to the byte.
    """
    address = cluster_of(launch, address)
    dataset = open_prepared(launch.config.data)
    dataset.verify()
    if launch.kind == "search":
        return resume_search(launch, address=address, tracking_uri=tracking_uri, console=console)
    config = launch.config
    return run_launch(
        launch,
        load_task_data(dataset, launch.task, planes=need_planes(launch.trainings)),
        config.resources,
        address=address,
        tracking_uri=tracking_uri,
        console=console,
        resume=True,
    )


def conclude(outcome: LaunchOutcome, tracking_uri: str) -> Conclusion:
    """Say what the launch has come to, as the command that began it would."""
    return _CONCLUSIONS[outcome.launch.kind](outcome, tracking_uri)
