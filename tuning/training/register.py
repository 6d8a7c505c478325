"""Decorators for losses and metrics of a user's own."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from typing import Any, Literal, TypeVar, overload

from models.user_code import add
from tuning.errors import ChromatuneError
from tuning.training.losses import LOSSES
from tuning.training.options import BUILT_IN_LOSSES
from tuning.training.tasks import CRITERIA, METRICS, Metric, Task, checked_task

Function = TypeVar("Function", bound=Callable[..., Any])

_NAME = re.compile(r"[a-z][a-z0-9_]{0,60}")
_SUFFIX = "_as_reported"  # of the original paper's values


@overload
def register_loss(function: Function) -> Function: ...
@overload
def register_loss(*, name: str | None = None) -> Callable[[Function], Function]: ...
def register_loss(function: Any = None, *, name: str | None = None) -> Any:
    """Register a function `loss(output, target)` or `loss(output, target, L)` as a loss.

    It is called with float32 tensors: the output of the network and the target in the range of its
    head, (N, 2, H, W), or (N, 2) for a network that is trained on means; L is (N, 1, H, W), in
    [0, 1]. It returns a scalar that can be differentiated. Its name is that of the function unless
    `name` is given.
    """

    def register(loss: Function) -> Function:
        count = len(_needed(loss))
        if count not in (2, 3):
            raise ChromatuneError(f"a loss takes output and target, or these and L, not {count}")
        called = _called(loss, name)
        if called in BUILT_IN_LOSSES:
            raise ChromatuneError(f"a loss named '{called}' is already registered")
        two = lambda output, target, L: loss(output, target)  # noqa: ARG005, E731
        add("loss", LOSSES, called, loss if count == 3 else two)
        return loss

    return register if function is None else register(function)


def register_metric(
    *, task: Task, mode: Literal["min", "max"], name: str | None = None
) -> Callable[[Function], Function]:
    """Register a function `metric(predicted, true) -> float`, which is measured on val and test.

    For the task `colorizer` it is called with two arrays of RGB images, uint8 (N, H, W, 3), the
    split in parts of at most 1000; for `regression` with the means, float32 (N, 2) in [0, 1]. With
    `mode` `max`, larger values are better. It returns a finite number. Its name, that of the
    function unless `name` is given, gets the prefix `val_` or `test_`.
    """
    checked_task(task)
    if mode not in ("min", "max"):
        raise ChromatuneError(f"the mode of a metric is min or max, not {mode!r}")

    def register(metric: Function) -> Function:
        if (count := len(_needed(metric))) != 2:
            raise ChromatuneError(f"a metric takes what is predicted and true, not {count} values")
        called = _called(metric, name)
        own = [name for criterion in CRITERIA.values() for name in criterion.metrics]
        if called in own or called.endswith(_SUFFIX):
            raise ChromatuneError(f"a metric named '{called}' is already registered")
        add("metric", METRICS, called, Metric(task, mode == "max", metric))
        return metric

    return register


def _called(function: Callable[..., Any], name: str | None) -> str:
    called = str(name or getattr(function, "__name__", ""))
    if not _NAME.fullmatch(called):
        raise ChromatuneError(f"'{called}' is no name: use lower-case letters, digits and _")
    return called


def _needed(function: Callable[..., Any]) -> list[inspect.Parameter]:
    return [
        parameter
        for parameter in inspect.signature(function).parameters.values()
        if parameter.default is parameter.empty
        and parameter.kind in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD)
    ]
