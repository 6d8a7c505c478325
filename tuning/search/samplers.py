"""Optuna's samplers: five by name, any other as `MODULE:CLASS`."""

from __future__ import annotations

import hashlib
import importlib
import inspect
import io
import pickle
import sys
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import optuna
from optuna.distributions import CategoricalDistribution as Categorical
from optuna.samplers import BaseSampler, CmaEsSampler, GPSampler, RandomSampler, TPESampler
from optuna.trial import FrozenTrial, TrialState

from models import fault_of, module_in_use
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


def make_sampler(search: SearchConfig, seed: int, **defaults: Any) -> BaseSampler:
    """Build the sampler; ChromatuneError if it cannot be imported or lacks an option.

    CMA-ES also learns from pruned trials, where a scheduler prunes. A class of the user's gets a
    `seed` if it takes one and the options have none. The options override `defaults`.
    """
    is_own = ":" in search.sampler
    build, options = (_imported(search.sampler), {}) if is_own else _SAMPLERS[search.sampler]
    parameters = inspect.signature(build).parameters
    takes_any = any(each.kind == each.VAR_KEYWORD for each in parameters.values())
    valid = [name for name in parameters if is_own or name != "seed"]
    for name in search.sampler_options:
        if name not in valid and not takes_any:
            takes = f"valid: {', '.join(valid)}" if valid else "it has none"
            raise ChromatuneError(
                f"the sampler {search.sampler} has no option '{name}'{nearest(name, valid)} "
                f"({takes})"
            )
    if search.sampler == "cmaes" and search.chosen_scheduler != "none":
        options = {**options, "consider_pruned_trials": True}
    seeded = {"seed": seed} if "seed" in parameters else {}
    with quiet():
        return build(**{**seeded, **options, **defaults, **search.sampler_options})


def _imported(word: str) -> type[BaseSampler]:
    """Import `MODULE:CLASS`, where MODULE may be the name of a file in use; else ChromatuneError.

    A launch folder names a sampler, too: only a subclass of Optuna's BaseSampler is called, and the
    standard library, which has none, is left alone.
    """
    name, _, attribute = word.partition(":")
    where = f"search.sampler: cannot import '{word}'"
    if name.partition(".")[0] in sys.stdlib_module_names:
        raise ChromatuneError(f"{where}: the standard library has no sampler")
    try:
        with warnings.catch_warnings(action="ignore"):
            module = module_in_use(name) or importlib.import_module(name)
    except Exception as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise ChromatuneError(
            f"{where}: {fault_of(error) or reason}; a file of your own is given with --import"
        ) from None
    found = getattr(module, attribute, None)
    if found is None:
        valid = [key for key, value in vars(module).items() if _is_sampler(value)]
        raise ChromatuneError(f"{where}: {name} has no {attribute}{nearest(attribute, valid)}")
    if not _is_sampler(found):
        raise ChromatuneError(f"{where}: it is no subclass of optuna.samplers.BaseSampler")
    if issubclass(found, CmaEsSampler):
        raise ChromatuneError(
            f"{where}: it would unpickle what is in the study; use cmaes, which checks it"
        )
    sampler: type[BaseSampler] = found
    return sampler


def _is_sampler(value: Any) -> bool:
    is_class = isinstance(value, type) and issubclass(value, BaseSampler)
    return is_class and not inspect.isabstract(value)


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
    if search.sampler_options or ":" in search.sampler:
        _try_out(search, space, objectives)
    if (
        ":" in search.sampler
        and "seed" not in inspect.signature(_imported(search.sampler)).parameters
    ):
        return [f"{search.sampler} takes no seed: another search may draw other trials"]
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
    starts: list[dict[str, Any]] = [{}]
    if ":" not in search.sampler:  # random and grid have no options to try
        starts.append({"n_startup_trials": 1})
    for start in starts:
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
                f"search.sampler_options: the sampler {search.sampler} cannot draw with "
                f"{given or 'no options'}: {fault_of(error) or reason}"
            ) from None
