"""What pydantic finds wrong, in one line."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from pydantic import ValidationError

from tuning.errors import nearest
from tuning.utils.redaction import redact

_UNKNOWN = ("extra_forbidden", "unexpected_keyword_argument")
_MAX_SHOWN = 120  # characters of a wrong value


def describe_fault(error: ValidationError, schema: Any = None, within: str = "") -> str:
    """Describe one fault in a line, a misspelled key first.

    `schema` has the valid keys, `within` is the path of the content. Parts of a path in angle
    brackets tell the alternatives of a union apart, and are left out.
    """
    first = min(error.errors(), key=lambda fault: fault["type"] not in _UNKNOWN)
    parts = [part for part in first["loc"] if not str(part).startswith("<")]
    location = [part for part in parts if isinstance(part, str)]
    path = ".".join(map(str, [within, *parts] if within else parts))
    if first["type"] in _UNKNOWN and schema is not None:
        valid = _fields_at(schema, location[:-1])
        return (
            f"unknown key '{path}'{nearest(location[-1], valid)} (valid here: {', '.join(valid)})"
        )
    if first["type"] in ("missing", "missing_argument"):
        return f"'{path}' is missing"
    message = first["msg"].removeprefix("Value error, ")
    if first["type"] == "literal_error":
        valid = re.findall(r"'([^']*)'", first["ctx"]["expected"])
        message += nearest(str(first["input"]), valid)
    message = f"{message[0].lower()}{message[1:]}"
    if not path and first["type"] == "value_error":
        return message  # of settings that do not go together
    is_quoted = isinstance(first["input"], str) and repr(first["input"]) in message
    got = "" if is_quoted else f", got {_short(first['input'])}"
    return f"'{path or 'all of it'}' is wrong: {message}{got}"


def _short(value: Any) -> str:
    text = redact(repr(value))
    return text if len(text) <= _MAX_SHOWN else f"{text[: _MAX_SHOWN - 1]}…"


def _fields_at(schema: Any, path: Sequence[str]) -> list[str]:
    for name in path:
        annotation = schema.__pydantic_fields__[name].annotation
        if not hasattr(annotation, "__pydantic_fields__"):
            break
        schema = annotation
    return list(schema.__pydantic_fields__)
