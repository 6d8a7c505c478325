"""Optuna's samplers by name."""

from __future__ import annotations

import hashlib
import inspect
import io
import pickle
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from optuna.distributions import CategoricalDistribution
from optuna.samplers import BaseSampler, CmaEsSampler, GPSampler, RandomSampler, TPESampler
from optuna.trial import FrozenTrial

from tuning.errors import ChromatuneError, nearest
from tuning.search.config import SearchConfig
from tuning.search.space import Space
from tuning.search.study import quiet

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


class _CheckedCmaEs(CmaEsSampler):
    """CMA-ES that reads its own state from a study and nothing else.

    Optuna keeps the state pickled, and a pickle from a stranger's study could run anything.
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
                f"the study holds a state of CMA-ES with {module}.{name} in it, which does not "
                f"belong there: use another study"
            )
        return super().find_class(module, name)


_SAMPLERS: Mapping[str, tuple[Callable[..., BaseSampler], Mapping[str, Any]]] = {
    # Conditional parameters in groups; Optuna would draw them one by one otherwise.
    "tpe": (TPESampler, {"group": True, "multivariate": True}),
    "gp": (GPSampler, {"warn_independent_sampling": False}),
    "cmaes": (_CheckedCmaEs, {"warn_independent_sampling": False}),
    "random": (RandomSampler, {}),
    "grid": (RandomSampler, {}),  # it draws nothing: the ledger enqueues the grid's points
}


def make_sampler(search: SearchConfig, seed: int) -> BaseSampler:
    """Build the sampler; ChromatuneError for options that it does not have.

    Trials that were cut short count for CMA-ES too, where a scheduler cuts.
    """
    build, options = _SAMPLERS[search.sampler]
    valid = [
        name
        for name in inspect.signature(build).parameters
        if name not in ("seed", "independent_sampler", "constraints_func", "source_trials")
    ]
    for name in search.sampler_options:
        if name not in valid:
            takes = f"valid: {', '.join(valid)}" if valid else "it has none"
            raise ChromatuneError(
                f"the sampler {search.sampler} has no option '{name}'{nearest(name, valid)} "
                f"({takes})"
            )
    if search.sampler == "cmaes" and search.chosen_scheduler != "none":
        options = {**options, "consider_pruned_trials": True}
    try:
        with quiet():
            return build(seed=seed, **{**options, **search.sampler_options})
    except (TypeError, ValueError) as error:
        raise ChromatuneError(f"search.sampler_options: {error}") from None


def seed_of(seed: int, count: int) -> int:
    """Seed of the suggestion that follows `count` others.

    Each has its own, so that what is suggested depends on the seed and on what is known alone: a
    search that was interrupted goes on as it would have gone on.
    """
    digest = hashlib.sha256(f"{seed}/{count}".encode()).digest()
    return int.from_bytes(digest[:4], "big")


def check_sampler(search: SearchConfig, space: Space, objectives: Sequence[object]) -> list[str]:
    """Refuse what a sampler or a scheduler cannot do; return what one should know of it."""
    make_sampler(search, 0)
    if search.sampler == "grid":
        next(space.grid())
    if search.sampler == "cmaes" and len(objectives) > 1:
        raise ChromatuneError("the sampler cmaes takes one objective: use tpe or gp for several")
    if search.chosen_scheduler == "pbt":
        if search.sampler != "random":
            raise ChromatuneError(
                f"the scheduler pbt changes a population as it trains, so the sampler must be "
                f"random, but is {search.sampler}: add --sampler random"
            )
        if len(objectives) > 1:
            raise ChromatuneError("the scheduler pbt takes one objective")
    if search.sampler in ("cmaes", "gp"):
        apart = [
            parameter.name
            for parameter in space.parameters
            if parameter.when
            or (
                search.sampler == "cmaes"
                and isinstance(parameter.distribution, CategoricalDistribution)
            )
        ]
        if apart:
            return [f"{search.sampler} does not model {', '.join(apart)}: drawn at random"]
    return []
