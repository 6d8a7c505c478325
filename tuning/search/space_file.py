"""Reading a search space from its YAML."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from optuna.distributions import BaseDistribution, FloatDistribution

from models import (
    ModelError,
    create_model_from_spec,
    drawing_no_weights,
    list_models,
    model_info,
)
from tuning.config.schema import Task, TrainingConfig
from tuning.errors import ChromatuneError, nearest
from tuning.launch.own_models import check_own_model
from tuning.launch.trainings import check_models
from tuning.search.distributions import (
    KWARG,
    checked_key,
    contains,
    described,
    has_choices,
    read_entry,
    typed,
    values_of,
)
from tuning.search.priors import Prior
from tuning.search.space import Parameter, Space, fixed_at

_NEEDED = ("model", "head", "lr", "epochs")


def read_space(
    task: Task, content: Mapping[str, Any], training: TrainingConfig, image_size: int
) -> Space:
    """Read the section `search.space`: a mapping of keys to distributions or constants.

    Keys are the fields of FitConfig, `epochs`, and `model_kwargs.NAME` for a model's own arguments.
    A distribution is written as in Optuna (`type: float | int | categorical`, `low`, `high`,
    `log`, `step`, `choices`); with `when: {key: value}` it counts only for that value. Raises
    ChromatuneError for whatever is wrong, with the nearest valid word.
    """
    constants: dict[str, Any] = {}
    distributions: dict[str, BaseDistribution] = {}
    conditions: dict[str, dict[str, Any]] = {}
    priors: dict[str, Prior | None] = {}
    for name, entry in flat(content).items():
        checked_key(name)
        if isinstance(entry, Mapping):
            distributions[name], conditions[name], priors[name] = read_entry(name, entry)
        elif isinstance(entry, list) and not name.startswith(KWARG):
            raise ChromatuneError(
                f"search.space.{name} takes one value, but got a list: to choose from it, write "
                f"{{type: categorical, choices: [{', '.join(map(str, entry))}]}}"
            )
        elif entry is not None:
            constants[name] = typed(name, entry)
    for name in _NEEDED:
        if name not in constants and name not in distributions:
            raise ChromatuneError(f"search.space needs '{name}': a value or a distribution")
        if conditions.get(name):
            raise ChromatuneError(f"search.space.{name} cannot have a `when`: every trial needs it")
    fixed = {name: fixed_at(name, value).distribution for name, value in constants.items()}
    both = {**distributions, **fixed}
    models = list(map(str, values_of("model", both["model"])))
    check_models(task, models)
    parameters = {}
    for name, distribution in distributions.items():
        when = _read_when(name, conditions[name], both)
        if all(when.values()):
            parameters[name] = Parameter(name, distribution, when, priors[name])
    arguments = [f"{KWARG}{argument}" for model in models for argument in model_info(model).kwargs]
    for name in (*parameters, *constants):
        if name.startswith(KWARG) and name not in arguments:
            raise ChromatuneError(
                f"search.space.{name} is not an argument of {' or '.join(models)}"
                f"{nearest(name, arguments)} (valid: {', '.join(dict.fromkeys(arguments))})"
            )
    space = Space(task, image_size, _in_order(parameters), constants, training.model_dump())
    _check(space)
    return space


def flat(content: Mapping[str, Any]) -> dict[str, Any]:
    """Write `model_kwargs: {width: …}`, as `--set` makes it, as `model_kwargs.width: …`."""
    flat = {str(name): entry for name, entry in content.items()}
    if isinstance(flat.get("model_kwargs"), Mapping):
        for key, entry in flat.pop("model_kwargs").items():
            name = f"{KWARG}{key}"
            if isinstance(entry, Mapping) and isinstance(flat.get(name), Mapping):
                entry = {**flat[name], **entry}
            flat[name] = entry
    return flat


def _read_when(
    name: str, when: Mapping[str, Any], distributions: Mapping[str, BaseDistribution]
) -> dict[str, tuple[Any, ...]]:
    """Read the conditions of a parameter: the values of other keys for which it counts.

    Choices that settings have taken from the space are left out, of which may remain ().
    """
    where = f"search.space.{name}.when"
    conditions = {}
    for other, wanted in when.items():
        valid = [key for key in distributions if key != name]
        if other not in valid:
            raise ChromatuneError(
                f"{where} names '{other}', which is not in the space{nearest(other, valid)}"
            )
        among = distributions[other]
        if isinstance(among, FloatDistribution) and among.step is None:
            raise ChromatuneError(f"{where}: {other} is continuous; a condition needs choices")
        values = wanted if isinstance(wanted, list) else [wanted]
        if not values:
            raise ChromatuneError(f"{where}: {other} needs at least one value")
        wanted = [typed(other, value, where) for value in values]
        conditions[other] = tuple(value for value in wanted if contains(among, value))
        for value in wanted:
            if value not in conditions[other] and not _is_choice(other, value):
                choices = described(among)
                hint = nearest(str(value), choices.split(" | "))
                raise ChromatuneError(
                    f"{where}: {other} is never {value!r}{hint} (valid: {choices})"
                )
    return conditions


def _is_choice(name: str, value: Any) -> bool:
    """Whether the key can have the value in another space: it is not misspelled."""
    return value in list_models() if name == "model" else has_choices(name)


def _in_order(parameters: Mapping[str, Parameter]) -> tuple[Parameter, ...]:
    """Put each parameter after those that it depends on, otherwise in the order of the file."""
    waiting = dict(parameters)
    ordered: list[Parameter] = []
    while waiting:
        free = [p for p in waiting.values() if not waiting.keys() & p.when.keys()]
        if not free:
            raise ChromatuneError(
                f"search.space: the `when` of {' and '.join(waiting)} depend on each other"
            )
        ordered.append(waiting.pop(free[0].name))
    return tuple(ordered)


def _check(space: Space) -> None:
    """Make trainings from all over the space, so that none fails after hours of searching."""
    built: set[str] = set()
    for values in space.probes():
        try:
            fit = space.fit_config(values)
            spec = {
                "name": fit.model,
                "head": fit.head,
                "image_size": fit.image_size,
                "kwargs": dict(fit.model_kwargs),
            }
            if repr(spec) not in built:
                with drawing_no_weights(model_info(fit.model).code):
                    create_model_from_spec(spec)
                check_own_model(fit)
                built.add(repr(spec))
        except (ChromatuneError, ModelError) as error:
            drawn = ", ".join(f"{name}={value}" for name, value in space.chosen(values).items())
            hint = f" (with {drawn}); narrow it, or add a `when`" if drawn else ""
            raise ChromatuneError(
                f"search.space contains a training that is not possible: {error}{hint}"
            ) from None
