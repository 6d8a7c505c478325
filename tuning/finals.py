"""The report's single trainings (Tables II and IV), measured on the test set."""

from __future__ import annotations

import dataclasses

from rich.console import Console

from data_prep import PreparedDataset
from tuning.conclusion import Conclusion
from tuning.config import FinalsLaunchConfig, Task
from tuning.data import load_task_data
from tuning.datasets import open_prepared
from tuning.errors import ChromatuneError
from tuning.fit_config import FitConfig
from tuning.launch import create_launch
from tuning.metrics import constant_baseline
from tuning.promotion import best_cell
from tuning.results import launch_cells, measured_results
from tuning.runner import LaunchOutcome, run_launch
from tuning.spaces import Training, costliest_first, make_training
from tuning.tracking_cells import TrackedCell

# Model and head of every single training, as in Tables II and IV.
_FINALS: dict[Task, tuple[tuple[str, str], ...]] = {
    "regression": (("fc", "relu"), ("cnn2", "relu"), ("cnn2", "tanh")),
    "colorizer": (("autoencoder", "sigmoid"), ("autoencoder", "tanh")),
}


def run_finals(
    task: Task, config: FinalsLaunchConfig, *, tracking_uri: str, console: Console
) -> LaunchOutcome:
    """Train the report's single models of a task.

    Learning rate and epochs are those of the best grid cell on the same data, unless configured.
    Raises ChromatuneError if there is no such cell.
    """
    dataset = open_prepared(config.data)
    trainings = final_trainings(task, config, dataset, tracking_uri)
    data = load_task_data(dataset, task)
    launch = create_launch(
        "finals",
        task,
        config,
        dataset,
        trainings,
        baseline=constant_baseline(data.val, data.baseline_ab, task, "val_"),
    )
    return run_launch(
        launch,
        data,
        config.resources,
        address=config.address,
        tracking_uri=tracking_uri,
        console=console,
    )


def conclude_finals(outcome: LaunchOutcome, tracking_uri: str) -> Conclusion:
    """Measure what was trained on the test set, beside the report and the constant predictor."""
    launch = outcome.launch
    dataset = open_prepared(launch.config.data)
    trained = launch_cells(tracking_uri, launch)
    cells = {_row_name(cell): cell for cell in trained.values()}
    title = f"{launch.task} on {dataset.name}, test set"
    table = measured_results(title, launch.task, dataset, cells, tracking_uri)
    return Conclusion(outcome, [table.rich()], table.records())


def final_trainings(
    task: Task, config: FinalsLaunchConfig, dataset: PreparedDataset, tracking_uri: str
) -> list[Training]:
    """Set up the trainings of Table II or IV."""
    finals = config.finals
    lr, epochs = finals.lr, finals.epochs
    if lr is None or epochs is None:
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


def _row_name(cell: TrackedCell) -> str:
    params = cell.params
    return f"{params['model']} {params['head']}, {params['epochs']} epochs"
