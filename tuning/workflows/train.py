"""One training of one configuration: a search's best, a champion's, anyone's own."""

from __future__ import annotations

import contextlib
import dataclasses
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from models import load_model
from tuning.config.schema import TrainLaunchConfig
from tuning.errors import ChromatuneError
from tuning.launch.open_dataset import open_prepared
from tuning.launch.outcomes import LaunchOutcome
from tuning.launch.trainings import make_training, network_without_weights
from tuning.training.config import FitConfig
from tuning.training.options import TrainingOptions
from tuning.workflows.launch_results import Conclusion, conclude_on_test
from tuning.workflows.run_launch import Session, start_launch

INITIAL_WEIGHTS = "initial.safetensors"  # in the launch folder


def run_train(config: TrainLaunchConfig, session: Session) -> LaunchOutcome:
    """Train what `config.train` says on `config.data`, from its `initial_model` if it names one.

    Raises ChromatuneError before any training if the options do not go together, the data are not
    prepared, or the initial model is another network.
    """
    dataset = open_prepared(config.data, session.log)
    fit = train_fit(config, dataset.size)
    named = config.train.initial_model
    with contextlib.ExitStack() as stack:
        origin: dict[str, Any] = {}
        if named is not None:
            parent, weights = stack.enter_context(initial_model(named, session.tracking_uri))
            _check_fits(weights, parent, fit)
            origin = {"parent_model": parent, "files": {INITIAL_WEIGHTS: weights}}
        network_without_weights(fit)  # raises if head, size or arguments are not the model's
        training = make_training(fit, initial_weights=INITIAL_WEIGHTS if origin else None)
        return start_launch("train", fit.task, config, dataset, [training], session, **origin)


@contextlib.contextmanager
def initial_model(named: str, tracking_uri: str | None) -> Iterator[tuple[str, Path]]:
    """Fetch a registered model to start from: the URI of its version, and a file for a while.

    Raises ChromatuneError without a store, or if the model is not in it.
    """
    from tuning.tracking.fetch_weights import load_logged_weights
    from tuning.tracking.registry.catalog import pinned
    from tuning.tracking.store import open_store

    if tracking_uri is None:
        raise ChromatuneError(f"{named} is a registered model: give --tracking-uri, its store")
    open_store(tracking_uri)
    parent = pinned(named, tracking_uri)
    with tempfile.TemporaryDirectory() as scratch:
        yield parent, load_logged_weights(parent, tracking_uri, Path(scratch))


def train_fit(config: TrainLaunchConfig, image_size: int) -> FitConfig:
    """The training that a configuration describes; ChromatuneError if it cannot be."""
    options = dataclasses.fields(TrainingOptions)
    return FitConfig(
        **{option.name: getattr(config.train, option.name) for option in options},
        **config.training.model_dump(),
        milestones=(config.train.epochs,),
        validate_at=config.train.validate_at,
        image_size=image_size,
    )


def conclude(outcome: LaunchOutcome, tracking_uri: str | None) -> Conclusion:
    """Measure what was trained on the test set; send it through the gate if it was asked for."""
    train = outcome.launch.document["config"]["train"]
    wants_gate = bool(train["promote"] or train.get("force"))
    return conclude_on_test(
        outcome,
        tracking_uri,
        lambda cell: f"{cell.params['model']} {cell.params['head']}",
        is_candidate=lambda _: wants_gate,
    )


def _check_fits(weights: Path, uri: str, fit: FitConfig) -> None:
    """Reject weights of another network; a `unet_mean` may begin as a `unet`, which it contains."""
    spec = load_model(weights, label=uri).spec
    family = {"unet_mean": "unet"}
    wanted = {"head": fit.head, "image_size": fit.image_size, "kwargs": dict(fit.model_kwargs)}
    differing = [f"its {key} is {spec[key]!r}" for key in wanted if spec[key] != wanted[key]]
    if family.get(spec["name"], spec["name"]) != family.get(fit.model, fit.model):
        differing.insert(0, f"it is {spec['name']}")
    if differing:
        raise ChromatuneError(
            f"the training of {fit.model} cannot begin with {uri}: {', '.join(differing)}"
        )
