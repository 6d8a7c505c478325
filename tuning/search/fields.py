"""What the keys of a space name: fields of a training, its epochs, arguments of its model."""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Mapping
from typing import Any, Literal, get_args, get_origin

from pydantic import TypeAdapter, ValidationError

from tuning.errors import ChromatuneError, nearest
from tuning.training.config import FitConfig

KWARG = "model_kwargs."
# The data decide the size; a trial's result is always its best state; one seed serves all trials.
_NOT_SEARCHED = frozenset({"milestones", "image_size", "keep", "seed", "eval_every"})
_KINDS: Mapping[type, str] = {int: "a whole number", float: "a number", bool: "true or false"}

_TYPES: Mapping[str, Any] = {
    "epochs": int,
    **{
        name: hint
        for name, hint in typing.get_type_hints(FitConfig).items()
        if name not in {*_NOT_SEARCHED, "model_kwargs"}
    },
}
FIELDS = tuple(_TYPES)
DEFAULTS: Mapping[str, Any] = {
    field.name: field.default
    for field in dataclasses.fields(FitConfig)
    if field.name in _TYPES and field.default is not dataclasses.MISSING
}


def checked_field(name: str) -> str:
    """Return `name` if it is a key of a space; else raise ChromatuneError naming the nearest."""
    if name in _TYPES or (name.startswith(KWARG) and name != KWARG):
        return name
    valid = (*FIELDS, f"{KWARG}NAME")
    raise ChromatuneError(
        f"unknown key '{name}' in search.space{nearest(name, valid)} (valid: {', '.join(valid)})"
    )


def takes_fractions(name: str) -> bool:
    """Whether a value between two whole numbers means something."""
    return name.startswith(KWARG) or _plain(name) is float


def takes_numbers(name: str) -> bool:
    """Whether a range of numbers means something."""
    return name.startswith(KWARG) or _plain(name) in (int, float)


def typed(name: str, value: Any) -> Any:
    """Return `value` as the type of the field; ChromatuneError if it is of another.

    YAML reads `1e-3` as a word: here it is the number that was meant. Arguments of models are
    checked by the models.
    """
    if name.startswith(KWARG):
        return value
    kind = _TYPES[name]
    if value is None and type(None) in get_args(kind):
        return None
    plain = _plain(name)
    if get_origin(plain) is Literal:
        valid = get_args(plain)
        if value not in valid:
            raise ChromatuneError(
                f"search.space.{name}: '{value}' is none of {', '.join(valid)}"
                f"{nearest(str(value), valid)}"
            )
        return value
    if plain is str:
        return str(value)
    try:
        if isinstance(value, bool) != (plain is bool):
            raise ValueError
        return TypeAdapter(plain).validate_python(value)
    except (ValidationError, ValueError):
        raise ChromatuneError(
            f"search.space.{name} takes {_KINDS[plain]}, but got {value!r}"
        ) from None


def _plain(name: str) -> Any:
    """The type of a field without its `| None`."""
    kind = _TYPES[name]
    if get_origin(kind) is Literal:
        return kind
    return next((one for one in get_args(kind) if one is not type(None)), kind)
