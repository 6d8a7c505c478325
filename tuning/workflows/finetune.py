"""Fine-tuning: a champion is trained further on another dataset."""

from __future__ import annotations

import tempfile
from pathlib import Path

from rich.console import Console

from models import ChromaModel, load_model
from tuning.config.schema import FinetuneLaunchConfig, Task
from tuning.errors import ChromatuneError
from tuning.launch.datasets import open_prepared
from tuning.launch.outcomes import LaunchOutcome
from tuning.launch.trainings import Training, make_training
from tuning.tracking.records import StoredCell
from tuning.tracking.registry.catalog import champion_uri, pinned
from tuning.tracking.store import open_store
from tuning.tracking.weights import load_logged_weights
from tuning.training.config import FitConfig
from tuning.workflows.conclusion import Conclusion, conclude_on_test
from tuning.workflows.launching import start_launch

_INITIAL_WEIGHTS = "initial.safetensors"
_FINETUNED, _SCRATCH = "-finetuned", "-scratch"


def run_finetune(
    task: Task,
    config: FinetuneLaunchConfig,
    *,
    tracking_uri: str | None,
    console: Console,
    reuse: bool = False,
) -> LaunchOutcome:
    """Train the champion of `config.finetune.source` further on `config.data`.

    With `compare_scratch`, the same model is also trained from scratch for as many epochs. Raises
    ChromatuneError if there is no champion or it takes pictures of another size.
    """
    if tracking_uri is None:
        raise ChromatuneError(
            "fine-tuning starts from a registered model: give --tracking-uri, its store"
        )
    open_store(tracking_uri)
    dataset = open_prepared(config.data)
    wanted = config.finetune.model or champion_uri(config.finetune.source, task)
    parent = pinned(wanted, tracking_uri)
    with tempfile.TemporaryDirectory() as scratch:
        weights = load_logged_weights(parent, tracking_uri, Path(scratch))
        model = load_model(weights)
        _check_fits(model, parent, task, dataset.size)
        return start_launch(
            *("finetune", task, config, dataset, _trainings(config, model)),
            tracking_uri=tracking_uri,
            console=console,
            reuse=reuse,
            parent_model=parent,
            files={_INITIAL_WEIGHTS: weights},
        )


def conclude_finetune(outcome: LaunchOutcome, tracking_uri: str | None) -> Conclusion:
    """Measure on the test set what was trained, and send the fine-tuned model through the gate."""
    return conclude_on_test(
        outcome,
        tracking_uri,
        _row_name,
        is_published=lambda cell: _FINETUNED in cell.cell_id,
        is_candidate=lambda cell: _FINETUNED in cell.cell_id,
    )


def _row_name(cell: StoredCell) -> str:
    origin = "from scratch" if _SCRATCH in cell.cell_id else "fine-tuned"
    return f"{cell.params['model']} {cell.params['head']}, {origin}"


def _trainings(config: FinetuneLaunchConfig, model: ChromaModel) -> list[Training]:
    spec = model.spec
    fit = FitConfig(
        model=spec["name"],
        head=spec["head"],
        lr=config.finetune.lr,
        milestones=(config.finetune.epochs,),
        image_size=spec["image_size"],
        model_kwargs=spec["kwargs"],
        flip_average=model.flip_average,
        **config.training.model_dump(),
    )
    trainings = [make_training(fit, suffix=_FINETUNED, initial_weights=_INITIAL_WEIGHTS)]
    if config.finetune.compare_scratch:
        trainings.append(make_training(fit, suffix=_SCRATCH))
    return trainings


def _check_fits(model: ChromaModel, uri: str, task: Task, size: int) -> None:
    if model.task != task:
        raise ChromatuneError(f"{uri} is a model for {model.task}, not for {task}")
    if model.spec["image_size"] != size:
        raise ChromatuneError(
            f"{uri} takes pictures of {model.spec['image_size']} px, but the data are prepared at "
            f"{size} px: prepare them with --size {model.spec['image_size']}"
        )
