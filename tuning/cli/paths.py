"""Paths that commands receive."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tuning.utils.environment import expanded


def expanding_paths(command: Callable[..., None]) -> Callable[..., None]:
    """Replace a leading `~` in every path that a command receives: a shell leaves `--out=~/x`."""

    @functools.wraps(command)
    def wrapper(**values: Any) -> None:
        command(**{name: _expanded(value) for name, value in values.items()})

    return wrapper


def _expanded(value: Any) -> Any:
    if isinstance(value, list):
        return [_expanded(item) for item in value]
    return expanded(value) if isinstance(value, Path) else value
