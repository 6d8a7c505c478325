"""Reading a search space from its YAML, and refusing what could not be trained."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import torch
from optuna.distributions import CategoricalDistribution, FloatDistribution

from models import ModelError, create_model, model_kwargs
from tuning.config.schema import Task, TrainingConfig
from tuning.errors import ChromatuneError, nearest
from tuning.launch.trainings import check_models
from tuning.search.distributions import (
    contains,
    decoded,
    is_distribution,
    read_distribution,
    values_of,
)
from tuning.search.fields import KWARG, checked_field, typed
from tuning.search.space import Parameter, Space
from tuning.training.config import FitConfig

_NEEDED = ("model", "head", "lr", "epochs")
# So many values of a parameter are tried out one by one; of more, the ends.
_TRIED = 64


def read_space(
    task: Task, entries: Mapping[str, Any], training: TrainingConfig, image_size: int
) -> Space:
    """Read the section `search.space`: a mapping of keys to distributions or constants.

    Keys are the fields of FitConfig, `epochs`, and `model_kwargs.NAME` for a model's own arguments.
    A distribution is written in Optuna's words (`type: float | int | categorical`, `low`, `high`,
    `log`, `step`, `choices`), and `when: {other: value}` makes it count only there. Raises
    ChromatuneError with one line for whatever is wrong, naming the nearest valid word.
    """
    written = {checked_field(name): entry for name, entry in _flat(entries) if entry is not None}
    for name in _NEEDED:
        if name not in written:
            raise ChromatuneError(f"search.space needs '{name}': a value or a distribution")
        if is_distribution(written[name]) and written[name].get("when"):
            raise ChromatuneError(
                f"search.space.{name} has a `when`, but no training is without it"
            )
    constants, parameters = {}, {}
    for name, entry in written.items():
        if is_distribution(entry):
            parameters[name] = Parameter(name, read_distribution(name, entry))
        else:
            constants[name] = _constant(name, entry)
    models = parameters["model"].distribution.choices if "model" in parameters else None
    check_models(task, models or [constants["model"]])
    for name, parameter in parameters.items():
        when = _conditions(name, written[name].get("when"), parameters, constants)
        parameters[name] = Parameter(name, parameter.distribution, when)
    space = Space(task, image_size, tuple(_in_order(parameters)), constants, training.model_dump())
    _check(space)
    return space


def example(space: Space) -> dict[str, Any]:
    """Some configuration of the space."""
    return next(_probes(space))


def needs_planes(space: Space) -> bool:
    """Whether any training of the space needs the a and b planes."""
    return any(space.fit_config(values).needs_planes for values in _probes(space))


def _flat(entries: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Write `model_kwargs: {width: …}`, as `--set` makes it, as `model_kwargs.width: …`."""
    nested = entries.get("model_kwargs")
    inner = {f"{KWARG}{key}": value for key, value in nested.items()} if nested else {}
    for name, entry in {**entries, **inner}.items():
        if name == "model_kwargs":
            continue
        if is_distribution(entry) and is_distribution(entries.get(name)):
            entry = {**entries[name], **entry}
        yield str(name), entry


def _constant(name: str, entry: Any) -> Any:
    # Models have arguments that are lists; which, is checked with the models.
    if isinstance(entry, list) and not name.startswith(KWARG):
        raise _is_list(name, entry)
    return typed(name, entry)


def _is_list(name: str, entry: Any) -> ChromatuneError:
    return ChromatuneError(
        f"search.space.{name} takes one value, but got a list: to choose from it, write "
        f"{{type: categorical, choices: [{', '.join(map(str, entry))}]}}"
    )


def _conditions(
    name: str,
    when: Any,
    parameters: Mapping[str, Parameter],
    constants: Mapping[str, Any],
) -> dict[str, tuple[Any, ...]]:
    if when is None:
        return {}
    where = f"search.space.{name}.when"
    if not isinstance(when, Mapping):
        raise ChromatuneError(f"{where} takes `key: value`, but got {when!r}")
    conditions = {}
    for other, wanted in when.items():
        if other == name or (other not in parameters and other not in constants):
            valid = [key for key in (*parameters, *constants) if key != name]
            raise ChromatuneError(
                f"{where} names '{other}', which is not in the space{nearest(str(other), valid)}"
            )
        values = [
            typed(other, value) for value in (wanted if isinstance(wanted, list) else [wanted])
        ]
        if not values:
            raise ChromatuneError(f"{where}: {other} waits for no value")
        for value in values:
            _check_possible(where, other, value, parameters, constants)
        conditions[str(other)] = tuple(values)
    return conditions


def _check_possible(
    where: str,
    other: str,
    value: Any,
    parameters: Mapping[str, Parameter],
    constants: Mapping[str, Any],
) -> None:
    if other in constants:
        if value != constants[other]:
            raise ChromatuneError(
                f"{where}: {other} is always {constants[other]!r}, never {value!r}"
            )
        return
    distribution = parameters[other].distribution
    if isinstance(distribution, FloatDistribution) and distribution.step is None:
        raise ChromatuneError(f"{where}: '{other}' has no single values to wait for")
    if contains(distribution, value):
        return
    hint = ""
    if isinstance(distribution, CategoricalDistribution):
        choices = [str(decoded(choice)) for choice in distribution.choices]
        hint = f"{nearest(str(value), choices)} (valid: {', '.join(choices)})"
    raise ChromatuneError(f"{where}: {other} is never {value!r}{hint}")


def _in_order(parameters: Mapping[str, Parameter]) -> list[Parameter]:
    """Put each parameter behind those that it depends on, otherwise as they were written."""
    waiting, ordered = dict(parameters), []
    while waiting:
        free = [one for one in waiting.values() if not waiting.keys() & one.when.keys()]
        if not free:
            raise ChromatuneError(
                f"search.space: {' and '.join(waiting)} wait for each other in `when`"
            )
        ordered.append(free[0])
        del waiting[free[0].name]
    return ordered


def _check(space: Space) -> None:
    """Make trainings from all over the space, so that none fails after hours of searching."""
    built: set[str] = set()
    arguments = {model: model_kwargs(model) for model in space.models}
    for values in _probes(space):
        _check_kwargs(values, arguments)
        try:
            fit = space.fit_config(values)
            if (key := repr((fit.model, fit.head, fit.model_kwargs))) not in built:
                _build(fit)
                built.add(key)
        except (ChromatuneError, ModelError) as error:
            drawn = ", ".join(f"{name}={values[name]}" for name in space.names if name in values)
            where = f" (with {drawn}); narrow it, or add a `when`" if drawn else ""
            raise ChromatuneError(
                f"search.space holds what cannot be trained: {error}{where}"
            ) from None


def _probes(space: Space) -> Iterator[dict[str, Any]]:
    """Configurations in which every parameter takes each of its values, or its two ends, once."""
    rng = random.Random(0)
    by_name = {parameter.name: parameter for parameter in space.parameters}
    ends = {name: _ends(parameter) for name, parameter in by_name.items()}
    yield space.walk(lambda parameter: ends[parameter.name][0])
    for parameter in space.parameters:
        for value in ends[parameter.name]:
            chosen = {name: rng.choice(values) for name, values in ends.items()}
            _force(parameter, by_name, chosen)
            chosen[parameter.name] = value
            yield space.walk(lambda one, chosen=chosen: chosen[one.name])  # type: ignore[misc]


def _ends(parameter: Parameter) -> list[Any]:
    distribution = parameter.distribution
    if isinstance(distribution, FloatDistribution) and distribution.step is None:
        return [distribution.low, distribution.high]
    values = list(_first(values_of(parameter.name, distribution), _TRIED + 1))
    return values if len(values) <= _TRIED else [distribution.low, distribution.high]


def _first(values: Iterable[Any], count: int) -> Iterator[Any]:
    yield from (value for _, value in zip(range(count), values, strict=False))


def _force(parameter: Parameter, by_name: Mapping[str, Parameter], chosen: dict[str, Any]) -> None:
    """Choose what the parameter waits for."""
    for other, wanted in parameter.when.items():
        if other in by_name:
            chosen[other] = wanted[0]
            _force(by_name[other], by_name, chosen)


def _check_kwargs(values: Mapping[str, Any], arguments: Mapping[str, Mapping[str, Any]]) -> None:
    """Refuse what is no argument of the model; `arguments` are the defaults of every model."""
    model = values["model"]
    for name, value in values.items():
        if not name.startswith(KWARG):
            continue
        argument = name.removeprefix(KWARG)
        if argument not in arguments[model]:
            raise ChromatuneError(
                f"search.space.{name}: {model} has no argument '{argument}'"
                f"{_taken_by(argument, arguments)}"
            )
        if isinstance(value, list) and not isinstance(arguments[model][argument], list | tuple):
            raise _is_list(name, value)


def _taken_by(argument: str, arguments: Mapping[str, Mapping[str, Any]]) -> str:
    """What to do about an argument that a model does not have: others may."""
    others = [model for model, known in arguments.items() if argument in known]
    if others:
        models = others[0] if len(others) == 1 else f"[{', '.join(others)}]"
        return f": add `when: {{model: {models}}}`"
    valid = dict.fromkeys(key for known in arguments.values() for key in known)
    return f"{nearest(argument, valid)} (valid: {', '.join(valid)})"


def _build(fit: FitConfig) -> None:
    with torch.device("meta"):
        create_model(fit.model, head=fit.head, image_size=fit.image_size, **fit.model_kwargs)
