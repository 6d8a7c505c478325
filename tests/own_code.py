"""Files of a user's own in this process, which forgets them at the end of a test."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from models import registry, user_code
from tuning.training.losses import LOSSES
from tuning.training.tasks import METRICS


@contextlib.contextmanager
def forgetting() -> Iterator[None]:
    """Begin without any file, and end as it was before."""
    state: list[Any] = [registry._MODELS, LOSSES, METRICS]
    own: list[Any] = [user_code._in_use, user_code._origins, user_code._trusted]
    before = [each.copy() for each in (*state, *own)]
    for each in own:
        each.clear()
    try:
        yield
    finally:
        for each, old in zip((*state, *own), before, strict=True):
            each.clear()
            each.update(old)
