"""Checks of the sizes that a network's arguments name."""

from __future__ import annotations

from models.errors import ModelError

# A model file names its own sizes: building a million layers would take all the memory.
MOST_LAYERS = 64


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
