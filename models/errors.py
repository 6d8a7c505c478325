"""The error of this package, and checks that raise it."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

# A model file names its own sizes: building a million layers would take all the memory.
MOST_LAYERS = 64


class ModelError(ValueError):
    """One clear line for the user: what was asked of a model, and what is valid."""


def unknown(kind: str, value: object, valid: Iterable[str]) -> ModelError:
    """Make the error for a `value` that is not `valid`, naming the nearest that is."""
    options = list(valid)
    close = difflib.get_close_matches(str(value), options, n=1)
    hint = f"; did you mean '{close[0]}'?" if close else ""
    listed = ", ".join(options) if options else "none"
    return ModelError(f"unknown {kind} '{value}'{hint} (valid: {listed})")


def checked_widths(name: str, key: str, widths: object, count: int | None = None) -> None:
    """Raise ModelError unless `widths` are positive whole numbers, `count` of them if given."""
    # Arguments come from command lines and files, so any type is possible.
    if not isinstance(widths, (list, tuple)) or not all(
        type(width) is int and width > 0 for width in widths
    ):
        raise ModelError(f"{key} of {name} must be positive whole numbers, but got {widths!r}")
    if count is not None and len(widths) != count:
        raise ModelError(f"{key} of {name} must be {count} numbers, but got {len(widths)}")
    if len(widths) > MOST_LAYERS:
        raise ModelError(f"{key} of {name} are {len(widths)} numbers, but {MOST_LAYERS} are enough")


def checked_dropout(name: str, dropout: object) -> None:
    """Raise ModelError unless `dropout` is in [0, 1)."""
    if type(dropout) not in (int, float) or not 0 <= dropout < 1:  # type: ignore[operator]
        raise ModelError(f"the dropout of {name} must be from 0 to below 1, got {dropout!r}")
