"""How a trial that Ray stops gets to save its last epoch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ray import tune
from ray.train._internal.session import get_session
from ray.tune.trainable.function_trainable import wrap_function

# Ray kills a trial 10 s after it has asked it to stop.
_SAVES_WITHIN_S = 8.0


def stoppable(function: Callable[..., Any]) -> type[tune.Trainable]:
    """Wrap a function trainable as Ray Tune would, and wait for what it does when it is stopped.

    A function is stopped while it waits in `tune.report`, which then raises SystemExit. Ray itself
    would end the process at once.
    """

    class StoppableTrial(wrap_function(function)):  # type: ignore[misc]
        def cleanup(self) -> None:
            get_session().finish(timeout=_SAVES_WITHIN_S)
            super().cleanup()

    return StoppableTrial
