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
from optuna.distributions import CategoricalDistribution
from optuna.samplers import BaseSampler, CmaEsSampler, GPSampler, RandomSampler, TPESampler
from optuna.trial import FrozenTrial

from tuning.config.search import SearchConfig
from tuning.errors import ChromatuneError, nearest
from tuning.search.objectives import Objective
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


# How Optuna annotates its options -> what YAML gives, and in words.
_KINDS: Mapping[str, tuple[tuple[type, ...], str]] = {
    "bool": ((bool,), "true or false"),
    "int": ((int,), "a whole number"),
    "float": ((int, float), "a number"),
    "str": ((str,), "a word"),
    "dict[str, Any]": ((dict,), "a mapping"),
    "None": ((type(None),), "null"),
}


# Those with options of which a type does not say enough, and more draws than CMA-ES needs for one
# generation at least.
_TRIED_OUT = ("tpe", "cmaes")
_DRAWS = 8
_OF_OPTIONS = (
    *(TypeError, ValueError, LookupError, ArithmeticError, AttributeError),
    *(AssertionError, RuntimeError),
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
    _check_options(search.sampler, search.sampler_options, build)
    if search.sampler == "cmaes" and search.chosen_scheduler != "none":
        options = {**options, "consider_pruned_trials": True}
    try:
        with quiet():
            return build(seed=seed, **{**options, **search.sampler_options})
    except (TypeError, ValueError) as error:
        raise ChromatuneError(f"search.sampler_options: {error}") from None


def _check_options(
    sampler: str, options: Mapping[str, Any], build: Callable[..., BaseSampler]
) -> None:
    """Refuse options that the sampler does not have, or that YAML cannot give it."""
    kinds = {
        name: str(parameter.annotation).split(" | ")
        for name, parameter in inspect.signature(build).parameters.items()
        if name != "seed"
    }
    valid = [name for name, words in kinds.items() if all(word in _KINDS for word in words)]
    for name, value in options.items():
        if name not in valid:
            takes = f"valid: {', '.join(valid)}" if valid else "it has none"
            raise ChromatuneError(
                f"the sampler {sampler} has no option '{name}'{nearest(name, valid)} ({takes})"
            )
        # Python takes true for the number 1.
        if type(value) not in {kind for word in kinds[name] for kind in _KINDS[word][0]}:
            wanted = " or ".join(_KINDS[word][1] for word in kinds[name])
            raise ChromatuneError(
                f"search.sampler_options.{name} takes {wanted}, but got {value!r}"
            )


def seed_of(seed: int, count: int) -> int:
    """Seed of the suggestion that follows `count` others.

    Each has its own, so that what is suggested depends on the seed and on what is known alone: a
    search that was interrupted goes on as it would have gone on.
    """
    digest = hashlib.sha256(f"{seed}/{count}".encode()).digest()
    return int.from_bytes(digest[:4], "big")


def check_sampler(search: SearchConfig, space: Space, objectives: Sequence[Objective]) -> list[str]:
    """Refuse what a sampler or a scheduler cannot do; return what one should know of it."""
    if search.sampler == "cmaes" and len(objectives) > 1:
        raise ChromatuneError("the sampler cmaes takes one objective: use tpe or gp for several")
    make_sampler(search, 0)
    if search.sampler == "grid":
        next(space.grid())
    if search.sampler in _TRIED_OUT and search.sampler_options:
        _try_out(search, space, objectives)
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


def _try_out(search: SearchConfig, space: Space, objectives: Sequence[Objective]) -> None:
    """Draw as the search will, before and after what the sampler draws at random to begin with.

    Optuna looks at most options' values no sooner than it needs them, hours into a search.
    """
    for at_once in ({}, {"n_startup_trials": 1}):
        options = {**search.sampler_options, **at_once}
        tried = search.model_copy(update={"sampler_options": options})
        try:
            with quiet(), warnings.catch_warnings():
                warnings.simplefilter("ignore")
                study = optuna.create_study(directions=[one.direction for one in objectives])
                for count in range(_DRAWS):
                    study.sampler = make_sampler(tried, count)
                    trial = study.ask()
                    space.sample(trial)
                    study.tell(trial, [float(count)] * len(objectives))
        except _OF_OPTIONS as error:
            lines = str(error).strip().splitlines() or [type(error).__name__]
            given = ", ".join(f"{name}={value!r}" for name, value in search.sampler_options.items())
            raise ChromatuneError(
                f"search.sampler_options: the sampler {search.sampler} cannot draw with {given}: "
                f"{lines[0]}"
            ) from None
