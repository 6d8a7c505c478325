"""Assembles Ray's Tuner for a launch of fixed trainings."""

from __future__ import annotations

import contextlib
import logging
import pickle
from typing import Any

from ray import tune
from ray.tune.error import TuneError as TuneError

from tuning.backend.callback import training_ids
from tuning.backend.cluster import has_joined
from tuning.backend.node_checks import inventory
from tuning.backend.stopping import stoppable
from tuning.backend.trainable import TrialInputs, run_trial
from tuning.config.schema import ResourcesConfig
from tuning.launch.attempts import attempt_folder, discard_ray_state, next_attempt
from tuning.launch.folder import Launch
from tuning.launch.outcomes import first_missing, has_ended
from tuning.launch.trainings import packs
from tuning.training.data import TaskData


def launch_tuner(
    launch: Launch,
    data: TaskData,
    resources: ResourcesConfig,
    cpus: float,
    gpus: float,
    watcher: tune.Callback,
) -> tune.Tuner:
    """Make a Tuner for what is left to train: a new one also when a launch is gone on with.

    Ray would restore its own from a pickle in the launch folder.
    """
    # Failed trials are told by the progress view, in a line each instead of a traceback.
    logging.getLogger("ray.tune").setLevel(logging.CRITICAL)
    left = [training for training in launch.trainings if not has_ended(launch, training)]
    names = launch.storage.list_dir()
    attempts = {
        training.training_id: next_attempt(
            launch.storage, training.training_id, first_missing(launch, training), names
        )
        for training in left
    }
    discard_ray_state(launch.storage)

    def folder(trial: Any) -> str:
        first, *_ = training_ids(trial)
        return attempt_folder(first, attempts[first].number)

    inputs = TrialInputs(launch.storage.uri, data, attempts, inventory() if has_joined() else {})
    trainable = tune.with_resources(
        stoppable(tune.with_parameters(run_trial, inputs=inputs)), {"cpu": cpus, "gpu": gpus}
    )
    storage_path, _, name = launch.storage.uri.rpartition("/")
    return tune.Tuner(
        trainable,
        param_space={
            "trainings": tune.grid_search(
                [[training.to_dict() for training in pack] for pack in packs(left, resources.pack)]
            )
        },
        tune_config=tune.TuneConfig(
            # No metric: not every report follows a validation, and Ray would refuse those.
            reuse_actors=True,
            max_concurrent_trials=resources.max_concurrent_trials,
            trial_name_creator=_name,
            trial_dirname_creator=folder,
        ),
        run_config=tune.RunConfig(
            name=name,
            storage_path=storage_path,
            failure_config=tune.FailureConfig(max_failures=resources.max_failures),
            callbacks=[watcher],
            verbose=0,
        ),
    )


def run_to_its_end(tuner: tune.Tuner) -> None:
    """Run a Tuner.

    At the end Ray reads failures back from storage, where a full disk has cut them short.
    """
    with contextlib.suppress(pickle.UnpicklingError, EOFError):
        tuner.fit()


def _name(trial: Any) -> str:
    first, *others = training_ids(trial)
    return f"{first}+{len(others)}" if others else first
