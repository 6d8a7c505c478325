"""Assembles Ray's Tuner for a search."""

from __future__ import annotations

import logging
import random
from collections.abc import Callable
from typing import Any

import numpy as np
from ray import tune

from tuning.backend.cluster import has_joined
from tuning.backend.node_checks import inventory
from tuning.backend.resources import TrialShares
from tuning.backend.schedulers import NamedTrials, make_scheduler, perturbation_interval
from tuning.backend.search_trainable import SearchInputs, run_search_trial
from tuning.backend.searcher import LedgerSearcher, trial_config
from tuning.launch.attempts import attempt_folder
from tuning.launch.folder import Launch
from tuning.search.ledger import HandOut, Ledger
from tuning.search.objectives import Objective
from tuning.search.plan import SearchPlan
from tuning.search.samplers import seed_of
from tuning.search.summary import TrialSummary, summaries
from tuning.training.data import TaskData


def search_tuner(
    launch: Launch,
    plan: SearchPlan,
    ledger: Ledger,
    shares: TrialShares,
    data: TaskData,
    watcher: tune.Callback,
    begun: Callable[[HandOut], None],
) -> tune.Tuner:
    """Make a Tuner that runs what the ledger hands out; `begun` is told of each training.

    It is a new one also when a search is gone on with: what Ray knew is less than what study and
    launch folder know.
    """
    # Failed trials are told by the progress view, in a line each instead of a traceback.
    logging.getLogger("ray.tune").setLevel(logging.CRITICAL)
    is_pbt = plan.search.chosen_scheduler == "pbt"
    scheduler = make_scheduler(plan.search, plan.space, plan.objectives[0])
    if isinstance(scheduler, NamedTrials):
        for trial in summaries(launch, ledger.study, plan.objectives):
            if not trial.is_known and trial.curve:
                scheduler.replay(trial.name, best_so_far(trial, plan.objectives[0]))
    # A trial may be as far ahead as one interval of whoever takes its state over, and of its next.
    kept = 1 + 2 * perturbation_interval(plan.search, plan.space) if is_pbt else 1
    inputs = SearchInputs(
        launch.storage.uri,
        data,
        plan.objectives[0],
        kept_checkpoints=kept,
        inventory=inventory() if has_joined() else {},
    )
    trainable = tune.with_resources(tune.with_parameters(run_search_trial, inputs=inputs), shares)
    storage_path, _, name = launch.storage.uri.rpartition("/")
    how: dict[str, Any]
    if is_pbt:
        # The population is drawn at once: Ray lets PBT have no searcher beside it.
        population = list(iter(ledger.next, None))
        for hand_out in population:
            begun(hand_out)
        _seed_everything(seed_of(plan.seed, 0))
        param_space = {
            "hand_out": tune.grid_search([trial_config(one)["hand_out"] for one in population])
        }
        how = {"max_concurrent_trials": plan.config.resources.max_concurrent_trials}
    else:
        param_space = {}

        def has_room() -> bool:
            return shares.has_room([(one.training.fit, one.gpus) for one in ledger.live])

        searcher = LedgerSearcher(ledger, has_room, begun)
        how = {"search_alg": searcher, "num_samples": -1}
    return tune.Tuner(
        trainable,
        param_space=param_space,
        tune_config=tune.TuneConfig(
            scheduler=scheduler,
            reuse_actors=True,
            trial_name_creator=_training_id,
            trial_dirname_creator=_folder,
            **how,
        ),
        run_config=tune.RunConfig(
            name=name,
            storage_path=storage_path,
            failure_config=tune.FailureConfig(max_failures=plan.config.resources.max_failures),
            callbacks=[watcher],
            verbose=0,
        ),
    )


def best_so_far(trial: TrialSummary, objective: Objective) -> dict[int, float]:
    """What a trial reported to its scheduler: after each validation the best value until then."""
    scores: dict[int, float] = {}
    best = float("nan")
    for epoch in sorted(trial.curve):
        if objective.better(trial.curve[epoch], best):
            best = trial.curve[epoch]
        scores[epoch] = best
    return scores


def _seed_everything(seed: int) -> None:
    """PBT draws from the global generators."""
    random.seed(seed)
    np.random.seed(seed)


def _training_id(trial: Any) -> str:
    return str(trial.config["hand_out"]["training"]["training_id"])


def _folder(trial: Any) -> str:
    return attempt_folder(_training_id(trial), trial.config["hand_out"]["attempt"])
