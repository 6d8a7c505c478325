"""The error of this package."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class ModelError(ValueError):
    """One clear line for the user: what was asked of a model, and what is valid."""


def unknown(kind: str, value: object, valid: Iterable[str]) -> ModelError:
    """Make the error for a `value` that is none of the `valid` ones, naming the nearest of them."""
    options = list(valid)
    close = difflib.get_close_matches(str(value), options, n=1)
    hint = f"; did you mean '{close[0]}'?" if close else ""
    listed = ", ".join(options) if options else "none"
    return ModelError(f"unknown {kind} '{value}'{hint} (valid: {listed})")
