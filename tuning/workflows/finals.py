"""The published single trainings (Tables II and IV), measured on the test set."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from data_prep import PreparedDataset
from tuning.config.schema import FinalsLaunchConfig, Task
from tuning.errors import ChromatuneError
from tuning.launch.datasets import open_prepared
from tuning.launch.outcomes import LaunchOutcome
from tuning.launch.trainings import Training, costliest_first, make_training
from tuning.training.config import FitConfig
from tuning.workflows.conclusion import Conclusion, conclude_on_test
from tuning.workflows.launching import check_store, start_launch

if TYPE_CHECKING:
    from rich.console import Console

    from tuning.tracking.records import StoredCell

# Model and head of every single training, as in Tables II and IV.
_FINALS: dict[Task, tuple[tuple[str, str], ...]] = {
    "regression": (("fc", "relu"), ("cnn2", "relu"), ("cnn2", "tanh")),
    "colorizer": (("autoencoder", "sigmoid"), ("autoencoder", "tanh")),
}


def run_finals(
    tasks: Sequence[Task],
    config: FinalsLaunchConfig,
    *,
    tracking_uri: str | None,
    console: Console | None,
    reuse: bool = False,
) -> Iterator[LaunchOutcome]:
    """Train the published single models, one launch a task, and yield each as it ends.

    Learning rate and epochs are those of the best grid cell on the same data, unless configured.
    Raises ChromatuneError before any training if there is no such cell. An interrupted launch is
    the last.
    """
    check_store(tracking_uri)
    dataset = open_prepared(config.data)
    planned = {task: final_trainings(task, config, dataset, tracking_uri) for task in tasks}
    for task, trainings in planned.items():
        outcome = start_launch(
            *("finals", task, config, dataset, trainings),
            tracking_uri=tracking_uri,
            console=console,
            reuse=reuse,
        )
        yield outcome
        if not outcome.is_over:
            return


def conclude_finals(outcome: LaunchOutcome, tracking_uri: str | None) -> Conclusion:
    """Measure what was trained on the test set, beside the published and the constant predictor."""
    return conclude_on_test(outcome, tracking_uri, _row_name)


def final_trainings(
    task: Task, config: FinalsLaunchConfig, dataset: PreparedDataset, tracking_uri: str | None
) -> list[Training]:
    """Set up the trainings of Table II or IV."""
    finals = config.finals
    lr, epochs = finals.lr, finals.epochs
    if lr is None or epochs is None:
        winner = None
        if tracking_uri is not None:
            from tuning.tracking.registry.promotion import best_cell

            winner = best_cell(tracking_uri, dataset.digest, task, kind="grid")
        if winner is None:
            raise ChromatuneError(
                f"no finished {task} grid on {dataset.name}, whose winner would say the learning "
                f"rate and the epochs: run `chromatune grid {task} --dataset {dataset.name}` "
                f"first, or give --lr and --epochs"
            )
        lr = lr or float(winner.params["lr"])
        epochs = epochs or int(winner.params["epochs"])
    shared = FitConfig(
        model=_FINALS[task][0][0],
        head=_FINALS[task][0][1],
        lr=lr,
        milestones=(epochs,),
        image_size=dataset.size,
        **config.training.model_dump(),
    )
    trainings = []
    for model, head in _FINALS[task]:
        fit = dataclasses.replace(shared, model=model, head=head)
        if model == "fc":
            fit = dataclasses.replace(fit, lr=finals.fc_lr, milestones=(finals.fc_epochs,))
        trainings.append(make_training(fit))
    return costliest_first(trainings)


def _row_name(cell: StoredCell) -> str:
    params = cell.params
    unit = "epoch" if params["epochs"] == "1" else "epochs"
    return f"{params['model']} {params['head']}, {params['epochs']} {unit}"
