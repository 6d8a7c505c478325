"""Errors that a user can act on."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class ChromatuneError(Exception):
    """One clear line for the user: what is wrong, where, and what to do about it."""


def nearest(word: str, valid: Iterable[str]) -> str:
    """Return `; did you mean 'x'?` for the valid word closest to `word`, or an empty string."""
    close = difflib.get_close_matches(word, list(valid), n=1)
    return f"; did you mean '{close[0]}'?" if close else ""
