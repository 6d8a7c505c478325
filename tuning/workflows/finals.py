"""The published single trainings (Tables II and IV), measured on the test set."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from data_prep import PreparedDataset
from tuning.config.schema import FinalsLaunchConfig, Task
from tuning.errors import ChromatuneError
from tuning.launch.open_dataset import data_words, open_prepared
from tuning.launch.outcomes import LaunchOutcome
from tuning.launch.trainings import Training, costliest_first, make_training
from tuning.training.config import FitConfig
from tuning.utils.commands import shell_command
from tuning.workflows.launch_results import Conclusion, conclude_on_test
from tuning.workflows.run_launch import Session, check_store, start_launch

if TYPE_CHECKING:
    from tuning.tracking.stored_runs import StoredCell

# Model and head of every single training, as in Tables II and IV.
_FINALS: dict[Task, tuple[tuple[str, str], ...]] = {
    "regression": (("fc", "relu"), ("cnn2", "relu"), ("cnn2", "tanh")),
    "colorizer": (("autoencoder", "sigmoid"), ("autoencoder", "tanh")),
}


def run_finals(
    tasks: Sequence[Task], config: FinalsLaunchConfig, session: Session
) -> Iterator[LaunchOutcome]:
    """Train the published single models, one launch a task, and yield each as it ends.

    Learning rate and epochs are those of the best grid cell on the same data, unless configured.
    Raises ChromatuneError before any training if there is no such cell. An interrupted launch is
    the last.
    """
    check_store(session.tracking_uri)
    dataset = open_prepared(config.data, session.log)
    uri = session.tracking_uri
    planned = {task: final_trainings(task, config, dataset, uri) for task in tasks}
    for task, trainings in planned.items():
        outcome = start_launch("finals", task, config, dataset, trainings, session)
        yield outcome
        if not outcome.is_over:
            return


def conclude(outcome: LaunchOutcome, tracking_uri: str | None) -> Conclusion:
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
            words = ["grid", task, *data_words(dataset)]
            store = ["--tracking-uri", tracking_uri] if tracking_uri else []
            grid = shell_command("chromatune", *words, *store)
            raise ChromatuneError(
                f"no finished {task} grid on {dataset.name}, whose winner would say the learning "
                f"rate and the epochs: run {grid} first, or give --lr and --epochs"
            )
        lr = lr or float(winner.params["lr"])
        epochs = epochs or int(winner.params["epochs"])
    shared = {"image_size": dataset.size, **config.training.model_dump()}
    trainings = []
    for model, head in _FINALS[task]:
        rate, last = (finals.fc_lr, finals.fc_epochs) if model == "fc" else (lr, epochs)
        trainings.append(make_training(FitConfig(model, head, rate, (last,), **shared)))
    return costliest_first(trainings)


def _row_name(cell: StoredCell) -> str:
    params = cell.params
    unit = "epoch" if params["epochs"] == "1" else "epochs"
    return f"{params['model']} {params['head']}, {params['epochs']} {unit}"
