"""The registry of networks: `create_model(name, head=…)` builds any of them, as in timm."""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeVar, get_args

import torch
from torch import nn

from models.base import ChromaModel
from models.errors import ModelError, unknown
from models.heads import HEADS, create_head
from models.user_code import UserCode, add, fault_of, load_code, running_code

Task = Literal["regression", "colorizer"]
TrainedOn = Literal["means", "planes"]

TASKS: tuple[Task, ...] = get_args(Task)

Builder = TypeVar("Builder", bound=Callable[..., nn.Module])


@dataclass(frozen=True)
class ModelInfo:
    """What a network is for: its task, what it is `trained_on`, its valid heads and image sizes.

    `code` is the user's file that registered it, if any.
    """

    build: Callable[..., nn.Module]
    task: Task
    heads: tuple[str, ...]
    image_sizes: range
    trained_on: TrainedOn
    code: UserCode | None = None

    @property
    def kwargs(self) -> dict[str, Any]:
        """The arguments that it takes, with their defaults."""
        _, *parameters = inspect.signature(self.build).parameters.values()
        return {p.name: p.default for p in parameters}


_MODELS: dict[str, ModelInfo] = {}


def register_model(
    *,
    task: Task,
    heads: tuple[str, ...],
    image_sizes: range,
    trained_on: TrainedOn | None = None,
    name: str | None = None,
) -> Callable[[Builder], Builder]:
    """Register a function `name(image_size, **kwargs)` that builds a network's body.

    The function's own name becomes the model's unless `name` is given. `heads` are the valid heads
    of the network, `image_sizes` the picture sides in px. A regressor may be `trained_on` the
    `planes`, which its body then predicts, instead of their `means`. Raises ModelError for a name
    that is taken, and for a task or head that there is not.
    """
    if task not in TASKS:
        raise unknown("task", task, TASKS)
    for head in heads:
        if head not in HEADS:
            raise unknown("head", head, HEADS)
    target = trained_on or ("planes" if task == "colorizer" else "means")

    def register(build: Builder) -> Builder:
        info = ModelInfo(build, task, heads, image_sizes, target, running_code())
        add("model", _MODELS, name or build.__name__, info)
        return build

    return register


def create_model(
    name: str,
    *,
    head: str = "relu",
    image_size: int = 128,
    flip_average: bool = False,
    **kwargs: Any,
) -> ChromaModel:
    """Build the model called `name` with weights drawn from torch's global generator.

    `flip_average` lets it predict the average of a picture and its mirror image; `kwargs` go to the
    network's own function, for instance `channels` of `cnn2`. Raises ModelError for a name, head,
    argument or image size that is not valid, naming what is.
    """
    return _create(model_info(name), name, head, image_size, flip_average, kwargs)


def _create(
    entry: ModelInfo,
    name: str,
    head: str,
    image_size: int,
    flip_average: bool,
    kwargs: Mapping[str, Any],
) -> ChromaModel:
    if head not in HEADS:
        raise unknown("head", head, entry.heads)
    if head not in entry.heads:
        raise ModelError(f"{name} has no head '{head}' (valid: {', '.join(entry.heads)})")
    # A bool or a float that equals a valid size would pass `in range` and break a layer's shape.
    if type(image_size) is not int or image_size not in entry.image_sizes:
        raise ModelError(
            f"{name} cannot take image_size {image_size!r} (valid: {_described(entry.image_sizes)})"
        )
    for key in kwargs:
        if key not in entry.kwargs:
            raise unknown(f"argument of {name}", key, list(entry.kwargs))
    spec = {"name": name, "head": head, "image_size": image_size, "kwargs": _listed(kwargs)}
    if flip_average:
        spec["flip_average"] = True
    try:
        body = entry.build(image_size, **kwargs)
    except (TypeError, RuntimeError) as error:  # sizes beyond what torch counts with
        reason = fault_of(error) or str(error).partition("\n")[0]
        raise ModelError(f"{name} cannot be built with {kwargs}: {reason}") from error
    return ChromaModel(body, create_head(head), entry.task, entry.trained_on, spec, entry.code)


def create_model_from_spec(spec: Mapping[str, Any], code: UserCode | None = None) -> ChromaModel:
    """Build the model that a `ChromaModel.spec` describes; ModelError if it is invalid.

    With `code`, which is run, the network is the one that it registers.
    """
    expected = {"name", "head", "image_size", "kwargs"}
    if set(spec) - {"flip_average"} != expected or not (
        isinstance(spec["name"], str)
        and isinstance(spec["head"], str)
        and isinstance(spec["kwargs"], dict)
        and isinstance(spec.get("flip_average", False), bool)
        and not {*expected, "flip_average"} & set(spec["kwargs"])
    ):
        raise ModelError(f"a model spec needs {', '.join(sorted(expected))}, but got {spec!r}")
    name = spec["name"]
    return _create(
        model_info(name) if code is None else _registered_by(code, name),
        name,
        spec["head"],
        spec["image_size"],
        spec.get("flip_average", False),
        spec["kwargs"],
    )


@contextlib.contextmanager
def drawing_no_weights(code: UserCode | None = None) -> Iterator[None]:
    """Within it, networks are built whose weights are replaced: the generator stays as it is.

    On the meta device, which takes no time and no memory; a network from a user's file may hold
    tensors that are not among its weights.
    """
    if code is None:
        with torch.device("meta"):
            yield
    else:
        with torch.random.fork_rng(devices=[]):
            yield


def list_models(task: str | None = None) -> list[str]:
    """List the registered names, sorted; with `task`, those of `regression` or `colorizer`."""
    if task is not None and task not in TASKS:
        raise unknown("task", task, TASKS)
    return sorted(name for name, entry in _MODELS.items() if task in (None, entry.task))


def model_info(name: str) -> ModelInfo:
    """Return what is known of the model called `name`; ModelError if there is none."""
    if name not in _MODELS:
        raise unknown("model", name, list_models())
    return _MODELS[name]


def _registered_by(code: UserCode, name: str) -> ModelInfo:
    found = {each.name: each.value for each in load_code(code) if each.kind == "model"}
    if name not in found:
        raise unknown(f"model of {code}", name, found)
    entry: ModelInfo = found[name]
    return entry


def describe_image_size(size: int) -> str:
    """Say in a line which models take pictures of this side, and why others do not."""
    taken = [name for name in list_models() if size in _MODELS[name].image_sizes]
    refused: dict[str, list[str]] = {}
    for name in list_models():
        if name not in taken:
            refused.setdefault(_requirement(_MODELS[name].image_sizes, size), []).append(name)
    parts = [f"models {', '.join(taken)}" if taken else "no model"]
    parts += [f"not {', '.join(names)} ({reason})" for reason, names in refused.items()]
    return f"Image size {size}: {'; '.join(parts)}"


def _requirement(sizes: range, size: int) -> str:
    if sizes[0] <= size <= sizes[-1] and sizes[0] % sizes.step == 0:
        return f"needs a multiple of {sizes.step}"
    return f"needs {_described(sizes)}"


def _described(sizes: range) -> str:
    step = f" in steps of {sizes.step}" if sizes.step > 1 else ""
    return f"{sizes[0]} to {sizes[-1]}{step}"


def _listed(kwargs: Mapping[str, Any]) -> dict[str, Any]:
    # As JSON gives them back, so that a spec equals its own round trip.
    return {name: list(v) if isinstance(v, tuple) else v for name, v in kwargs.items()}
