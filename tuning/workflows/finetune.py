"""Fine-tuning: a champion is trained further on another dataset."""

from __future__ import annotations

from models import ChromaModel, load_model, use_code
from tuning.config.schema import FinetuneLaunchConfig, Task
from tuning.errors import ChromatuneError
from tuning.launch.open_dataset import open_prepared
from tuning.launch.outcomes import LaunchOutcome
from tuning.launch.trainings import Training, make_training
from tuning.tracking.registry.catalog import champion_uri
from tuning.tracking.stored_runs import StoredCell
from tuning.training.config import FitConfig
from tuning.workflows.launch_results import Conclusion, conclude_on_test
from tuning.workflows.run_launch import Session, start_launch
from tuning.workflows.train import INITIAL_WEIGHTS, initial_model

_FINETUNED, _SCRATCH = "-finetuned", "-scratch"


def run_finetune(task: Task, config: FinetuneLaunchConfig, session: Session) -> LaunchOutcome:
    """Train the champion of `config.finetune.source` further on `config.data`.

    With `compare_scratch`, the same model is also trained from scratch for as many epochs. Raises
    ChromatuneError if there is no champion or it takes pictures of another size.
    """
    dataset = open_prepared(config.data, session.log)
    named = config.finetune.model or champion_uri(config.finetune.source, task)
    with initial_model(named, session.tracking_uri) as (parent, weights):
        model = load_model(weights, label=parent)
        _check_fits(model, parent, task, dataset.size)
        if model.code is not None:
            use_code(model.code)
        return start_launch(
            *("finetune", task, config, dataset, _trainings(config, model), session),
            parent_model=parent,
            files={INITIAL_WEIGHTS: weights},
            code=[model.code] if model.code else [],
        )


def conclude(
    outcome: LaunchOutcome, tracking_uri: str | None, *, promotes: bool = True
) -> Conclusion:
    """Measure on the test set what was trained, and send the fine-tuned model through the gate."""
    return conclude_on_test(
        outcome,
        tracking_uri,
        _row_name,
        is_published=lambda cell: _FINETUNED in cell.cell_id,
        is_candidate=lambda cell: promotes and _FINETUNED in cell.cell_id,
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
    trainings = [make_training(fit, suffix=_FINETUNED, initial_weights=INITIAL_WEIGHTS)]
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
