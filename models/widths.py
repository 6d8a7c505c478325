"""Checks of the widths that a network's arguments name."""

from __future__ import annotations

from collections.abc import Sequence

from models.errors import ModelError


def checked_widths(name: str, key: str, widths: Sequence[int], count: int | None = None) -> None:
    """Raise ModelError unless `widths` are positive whole numbers, `count` of them if given."""
    whole = not isinstance(widths, str) and isinstance(widths, Sequence)
    if not whole or any(type(width) is not int or width < 1 for width in widths):
        raise ModelError(f"{key} of {name} must be positive whole numbers, but got {widths!r}")
    if count is not None and len(widths) != count:
        raise ModelError(f"{key} of {name} must be {count} numbers, but got {len(widths)}")
