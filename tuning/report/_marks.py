"""The signs that tell better from worse without any colour."""

from __future__ import annotations

from tuning.report._document import Cell

_MARKS = {"better": "▲", "worse": "▼", "equal": "="}
_STARS = {"all": "★", "table": "☆"}


def mark(cell: Cell) -> str:
    """The sign of a comparison with the published figure; empty if there is none."""
    return _MARKS[cell.verdict] if cell.verdict else ""


def star(cell: Cell) -> str:
    """The sign of a winning cell; empty for others."""
    return _STARS[cell.winner] if cell.winner else ""
