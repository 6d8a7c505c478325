"""One training of one configuration: a search's best, a champion's, anyone's own."""

from __future__ import annotations

import contextlib
import dataclasses
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from models import load_model
from tuning.config.schema import TrainLaunchConfig
from tuning.errors import ChromatuneError
from tuning.launch.datasets import open_prepared
from tuning.launch.outcomes import LaunchOutcome
from tuning.launch.trainings import make_training
from tuning.training.config import FitConfig
from tuning.training.options import TrainingOptions
from tuning.workflows.conclusion import Conclusion, conclude_on_test
from tuning.workflows.launching import start_launch

if TYPE_CHECKING:
    from rich.console import Console

_INITIAL_WEIGHTS = "initial.safetensors"


def run_train(
    config: TrainLaunchConfig,
    *,
    tracking_uri: str | None,
    console: Console | None,
    reuse: bool = False,
) -> LaunchOutcome:
    """Train what `config.train` says on `config.data`, from its `initial_model` if it names one.

    Raises ChromatuneError before any training if the options do not go together, the data are not
    prepared, or the initial model is another network.
    """
    dataset = open_prepared(config.data)
    fit = train_fit(config, dataset.size)
    with contextlib.ExitStack() as stack:
        parent, files = None, {}
        if config.train.initial_model is not None:
            from tuning.tracking.registry.catalog import pinned
            from tuning.tracking.store import open_store
            from tuning.tracking.weights import load_logged_weights

            if tracking_uri is None:
                raise ChromatuneError(
                    "--initial-model names a registered model: give --tracking-uri, its store"
                )
            open_store(tracking_uri)
            parent = pinned(config.train.initial_model, tracking_uri)
            scratch = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            files[_INITIAL_WEIGHTS] = load_logged_weights(parent, tracking_uri, scratch)
            _check_fits(files[_INITIAL_WEIGHTS], parent, fit)
        training = make_training(fit, initial_weights=_INITIAL_WEIGHTS if parent else None)
        return start_launch(
            *("train", fit.task, config, dataset, [training]),
            tracking_uri=tracking_uri,
            console=console,
            reuse=reuse,
            parent_model=parent,
            files=files,
        )


def train_fit(config: TrainLaunchConfig, image_size: int) -> FitConfig:
    """The training that a configuration describes; ChromatuneError if it cannot be."""
    options = dataclasses.fields(TrainingOptions)
    return FitConfig(
        **{option.name: getattr(config.train, option.name) for option in options},
        **config.training.model_dump(),
        milestones=(config.train.epochs,),
        image_size=image_size,
    )


def conclude_train(outcome: LaunchOutcome, tracking_uri: str | None) -> Conclusion:
    """Measure what was trained on the test set; send it through the gate if it was asked for."""
    wants_gate = bool(outcome.launch.document["config"]["train"]["promote"])
    return conclude_on_test(
        outcome,
        tracking_uri,
        lambda cell: f"{cell.params['model']} {cell.params['head']}",
        is_candidate=lambda _: wants_gate,
    )


def _check_fits(weights: Path, uri: str, fit: FitConfig) -> None:
    """Reject weights of another network; a `unet_mean` may begin as a `unet`, which it contains."""
    spec = load_model(weights).spec
    family = {"unet_mean": "unet"}
    wanted = {"head": fit.head, "image_size": fit.image_size, "kwargs": dict(fit.model_kwargs)}
    differing = [f"its {key} is {spec[key]!r}" for key in wanted if spec[key] != wanted[key]]
    if family.get(spec["name"], spec["name"]) != family.get(fit.model, fit.model):
        differing.insert(0, f"it is {spec['name']}")
    if differing:
        raise ChromatuneError(
            f"the training of {fit.model} cannot begin with {uri}: {', '.join(differing)}"
        )
