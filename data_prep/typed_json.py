"""JSON read into dataclasses, every value checked against its annotation, by plain Python alone.

What trains and what prepares data must run where nothing but PyTorch and OpenCV is installed.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from contextlib import suppress
from functools import cache
from types import UnionType
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

Document = TypeVar("Document")


class MisfitError(ValueError):
    """What was read is not what is annotated, such as `files.3.row must be int, but is 'x'`."""


def read_typed(kind: type[Document], value: object) -> Document:
    """Build the dataclass `kind` from parsed JSON; MisfitError at the first value that misfits.

    Keys that the class does not have are refused, missing ones unless they have a default. Numbers,
    strings, bools, None, `Any`, lists, tuples of known length, dicts, literals, unions and
    dataclasses may be annotated.
    """
    document: Document = _read(kind, value, "")
    return document


def _read(kind: Any, value: object, where: str) -> Any:
    if dataclasses.is_dataclass(kind):
        return _read_fields(kind, value, where)
    form, inner = get_origin(kind), get_args(kind)
    if form in (Union, UnionType):
        for one in inner:
            with suppress(MisfitError):
                return _read(one, value, where)
    if form is list and isinstance(value, list):
        return [_read(inner[0], one, f"{where}.{i}") for i, one in enumerate(value)]
    if form is tuple and isinstance(value, list) and len(value) == len(inner):
        pairs = enumerate(zip(inner, value, strict=True))
        return tuple(_read(one, item, f"{where}.{i}") for i, (one, item) in pairs)
    if form is dict and isinstance(value, dict):
        return {
            _read(inner[0], key, f"{where}.{key}"): _read(inner[1], item, f"{where}.{key}")
            for key, item in value.items()
        }
    if form is Literal and any(type(one) is type(value) and one == value for one in inner):
        return value
    # A bool is an int to Python, but not to whoever annotated an int.
    if kind is Any or type(value) is kind:
        return value
    raise MisfitError(f"{_named(where)} must be {_spelled(kind)}, but is {_shown(value)}")


def _read_fields(kind: Any, value: object, where: str) -> Any:
    if not isinstance(value, dict):
        raise MisfitError(f"{_named(where)} must hold named values, but is {_shown(value)}")
    hints = _hints(kind)
    within = f"{where}." if where else ""
    for key in value:
        if key not in hints:
            raise MisfitError(f"{within}{key} is unknown")
    for field in dataclasses.fields(kind):
        is_needed = field.default is field.default_factory is dataclasses.MISSING
        if is_needed and field.name not in value:
            raise MisfitError(f"{within}{field.name} is missing")
    return kind(**{key: _read(hints[key], item, f"{within}{key}") for key, item in value.items()})


@cache
def _hints(kind: Any) -> Mapping[str, Any]:
    return get_type_hints(kind)


def _named(where: str) -> str:
    return where.removeprefix(".") or "the whole"


def _spelled(kind: Any) -> str:
    if get_origin(kind) is Literal:
        return " or ".join(repr(one) for one in get_args(kind))
    return kind.__name__ if isinstance(kind, type) and not get_args(kind) else str(kind)


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:60]}…"
