"""Errors that a user can act on."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pydantic import ValidationError


class ChromatuneError(Exception):
    """One clear line for the user: what is wrong, where, and what to do about it."""


def first_fault(error: ValidationError) -> str:
    """Say in a few words what is wrong with a document: `'cells.0.epochs' is missing`."""
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"]) or "all of it"
    message = first["msg"].removeprefix("Value error, ")
    return f"'{where}' is wrong: {message[0].lower()}{message[1:]}"


def nearest(word: str, valid: Iterable[str]) -> str:
    """Return `; did you mean 'x'?` for the valid word closest to `word`, or an empty string."""
    close = difflib.get_close_matches(word, list(valid), n=1)
    return f"; did you mean '{close[0]}'?" if close else ""
