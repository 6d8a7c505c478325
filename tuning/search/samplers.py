"""Optuna's samplers by name."""

from __future__ import annotations

import hashlib
import inspect
import io
import pickle
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import optuna
from optuna.distributions import CategoricalDistribution as Categorical
from optuna.samplers import BaseSampler, CmaEsSampler, GPSampler, RandomSampler, TPESampler
from optuna.trial import FrozenTrial, TrialState

from tuning.config.search import SearchConfig
from tuning.errors import ChromatuneError, nearest
from tuning.search.objectives import Objective
from tuning.search.space import Space
from tuning.search.study import quiet
from tuning.search.study_checks import MARK

# Everything that the state of CMA-ES is made of.
_CMAES_STATE = frozenset(
    {
        ("cmaes._cma", "CMA"),
        ("numpy", "dtype"),
        ("numpy", "ndarray"),
        ("numpy._core.multiarray", "_reconstruct"),
        ("numpy._core.multiarray", "scalar"),
    }
)
# More draws than CMA-ES needs for a generation.
_DRAWS = 8


class _CheckedCmaEs(CmaEsSampler):
    """CMA-ES that reads its own state from a study and nothing else.

    Optuna keeps the state pickled, and a pickle in an untrusted study could run anything.
    """

    def _restore_optimizer(self, completed_trials: list[FrozenTrial]) -> Any:
        for trial in reversed(completed_trials):
            parts = [key for key in trial.system_attrs if key.startswith(self._attr_key_optimizer)]
            if parts:
                attrs = {key: trial.system_attrs[key] for key in parts}
                state = bytes.fromhex(self._concat_optimizer_attrs(attrs))
                return _CmaEsState(io.BytesIO(state)).load()
        return None


class _CmaEsState(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _CMAES_STATE:
            raise ChromatuneError(
                f"the study has a state of CMA-ES that contains {module}.{name}, which does not "
                f"belong there: use another study"
            )
        return super().find_class(module, name)


_SAMPLERS: Mapping[str, tuple[Callable[..., BaseSampler], Mapping[str, Any]]] = {
    # Conditional parameters in groups; Optuna would draw them one by one otherwise.
    "tpe": (TPESampler, {"group": True, "multivariate": True}),
    "gp": (GPSampler, {"warn_independent_sampling": False}),
    "cmaes": (_CheckedCmaEs, {"warn_independent_sampling": False}),
    "random": (RandomSampler, {}),
    "grid": (RandomSampler, {}),  # draws nothing: see `enqueue_grid_point`
}


def make_sampler(search: SearchConfig, seed: int) -> BaseSampler:
    """Build the sampler; ChromatuneError for options that it does not have.

    CMA-ES also learns from pruned trials, where a scheduler prunes.
    """
    build, options = _SAMPLERS[search.sampler]
    valid = [name for name in inspect.signature(build).parameters if name != "seed"]
    for name in search.sampler_options:
        if name not in valid:
            takes = f"valid: {', '.join(valid)}" if valid else "it has none"
            raise ChromatuneError(
                f"the sampler {search.sampler} has no option '{name}'{nearest(name, valid)} "
                f"({takes})"
            )
    if search.sampler == "cmaes" and search.chosen_scheduler != "none":
        options = {**options, "consider_pruned_trials": True}
    with quiet():
        return build(seed=seed, **{**options, **search.sampler_options})


def seed_of(seed: int, count: int) -> int:
    """Seed of the suggestion that follows `count` others.

    Each has its own, so that a suggestion depends on the seed and the known results alone: a search
    that was interrupted continues as if it had not been.
    """
    digest = hashlib.sha256(f"{seed}/{count}".encode()).digest()
    return int.from_bytes(digest[:4], "big")


def enqueue_grid_point(study: optuna.Study, space: Space, launch_id: str = "") -> bool:
    """Queue the first point of the grid that no trial has, unless points wait already.

    Returns False if there is none: the grid is exhausted.
    """
    trials = study.get_trials(deepcopy=False)
    if any(trial.state == TrialState.WAITING for trial in trials):
        return True
    known = [trial.params for trial in trials]
    point = next((point for point in space.grid() if point not in known), None)
    if point is not None:
        study.enqueue_trial(point, user_attrs={MARK: launch_id})
    return point is not None


def check_sampler(search: SearchConfig, space: Space, objectives: Sequence[Objective]) -> list[str]:
    """Reject what a sampler cannot do; return notes on what it does not model."""
    if search.sampler == "cmaes" and len(objectives) > 1:
        raise ChromatuneError("the sampler cmaes takes one objective: use tpe or gp for several")
    if search.sampler == "grid":
        next(space.grid())
    if search.sampler_options:
        _try_out(search, space, objectives)
    if search.sampler not in ("cmaes", "gp"):
        return []
    apart = [
        parameter.name
        for parameter in space.parameters
        if parameter.when
        or (search.sampler == "cmaes" and isinstance(parameter.distribution, Categorical))
    ]
    return [f"{search.sampler} does not model {', '.join(apart)}: drawn at random"] if apart else []


def _try_out(search: SearchConfig, space: Space, objectives: Sequence[Objective]) -> None:
    """Draw as the search will, before and after the sampler's random start.

    Optuna checks the values of most options only when it uses them, hours into a search.
    """
    for start in ({}, {"n_startup_trials": 1}):  # random and grid have no options to try
        tried = search.model_copy(update={"sampler_options": {**search.sampler_options, **start}})
        try:
            with quiet(), warnings.catch_warnings(action="ignore"):
                study = optuna.create_study(directions=[o.direction for o in objectives])
                for count in range(_DRAWS):
                    study.sampler = make_sampler(tried, count)
                    trial = study.ask()
                    space.sample(trial)
                    study.tell(trial, [float(count)] * len(objectives))
        except ChromatuneError:
            raise
        except Exception as error:
            reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
            given = ", ".join(f"{name}={value!r}" for name, value in search.sampler_options.items())
            raise ChromatuneError(
                f"search.sampler_options: the sampler {search.sampler} cannot draw with {given}: "
                f"{reason}"
            ) from None
