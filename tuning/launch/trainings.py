"""Trainings and their cells: what a launch is made of."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Sequence
from typing import Any

import torch
from pydantic import TypeAdapter, ValidationError
from torch import Tensor, nn

from models import (
    ChromaModel,
    ModelError,
    create_model,
    drawing_no_weights,
    list_models,
    model_info,
)
from tuning.config.schema import GridConfig, Task, TrainingConfig
from tuning.display.formatting import format_lr
from tuning.errors import ChromatuneError, nearest
from tuning.launch.launch_json import Cell as Cell
from tuning.launch.launch_json import TrainingDocument
from tuning.launch.own_models import check_own_model
from tuning.training.config import FitConfig
from tuning.utils.faults import describe_fault

_FIT = TypeAdapter(FitConfig)


@dataclasses.dataclass(frozen=True)
class Training:
    """One trial: a model trained once, its cells cut at the milestones.

    `initial_weights` names a safetensors file in the launch folder to start from.
    """

    training_id: str
    fit: FitConfig
    cells: tuple[Cell, ...]
    initial_weights: str | None = None

    @property
    def epochs(self) -> int:
        return self.fit.milestones[-1]

    def cell_at(self, epoch: int) -> Cell:
        """The cell of a milestone; of a training that ended early, its only one."""
        return next((cell for cell in self.cells if cell.epochs == epoch), self.cells[-1])

    def to_dict(self) -> dict[str, Any]:
        """JSON-able form, read back by `from_dict`."""
        params = dataclasses.asdict(self.fit)
        milestones = list(params.pop("milestones"))
        for name in ("validate_at", "eval_metrics"):  # launches of earlier versions have none
            if listed := list(params.pop(name)):
                params[name] = listed
        return {
            "training_id": self.training_id,
            "params": params,
            "milestones": milestones,
            "cells": [dataclasses.asdict(cell) for cell in self.cells],
            "initial_weights": self.initial_weights,
        }

    @classmethod
    def from_dict(cls, value: Any, where: str = "a launch") -> Training:
        """Read the form back; ChromatuneError, naming `where`, if it is no training."""
        try:
            document = TrainingDocument.model_validate(value)
            if isinstance(model := document.params.get("model"), str):
                model_info(model)
            fit = _FIT.validate_python(document.params | {"milestones": document.milestones})
        except ModelError as error:
            raise ChromatuneError(
                f"{where} cannot be read here: {error}; if it is your own, give its file with "
                f"--import"
            ) from None
        except (ValidationError, ChromatuneError) as error:
            fault = describe_fault(error) if isinstance(error, ValidationError) else error
            raise ChromatuneError(f"{where} has a damaged training: {fault}") from None
        return cls(document.training_id, fit, tuple(document.cells), document.initial_weights)


def grid_trainings(
    task: Task, grid: GridConfig, training: TrainingConfig, image_size: int
) -> list[Training]:
    """Turn a grid into trainings, the costliest first so that the last ones to end are short.

    Without `independent_cells`, all epochs of one (model, head, lr) come from one training: at a
    constant learning rate a long training passes through the exact states of a shorter one.
    """
    check_models(task, grid.models)
    milestones = scaled_epochs(grid.epochs, grid.epoch_scale)
    published = dict(zip(milestones, grid.epochs, strict=True)) if grid.epoch_scale else {}
    milestones.sort()
    groups = [(epochs,) for epochs in milestones] if grid.independent_cells else [tuple(milestones)]
    trainings = [
        make_training(
            FitConfig(
                model=model,
                head=head,
                lr=lr,
                milestones=group,
                image_size=image_size,
                batch_size=training.batch_size,
                weight_decay=training.weight_decay,
                seed=training.seed,
                eval_every=training.eval_every,
                eval_metrics=training.eval_metrics,
            ),
            published=published,
            independent=grid.independent_cells,
        )
        for model in grid.models
        for head in grid.heads
        for lr in grid.lrs
        for group in groups
    ]
    return costliest_first(trainings)


def scaled_epochs(epochs: Iterable[int], scale: float | None) -> list[int]:
    """Scale the published epochs, at least 1 each; ChromatuneError if two become the same."""
    values = list(epochs)
    if scale is None:
        return values
    scaled = [max(1, math.floor(epoch * scale + 0.5)) for epoch in values]
    if len(set(scaled)) != len(scaled):
        raise ChromatuneError(
            f"epoch scale {scale:g} turns {values} epochs into {scaled}: two cells would be the "
            f"same training; use a larger scale or --epochs"
        )
    return scaled


def make_training(
    fit: FitConfig,
    *,
    published: dict[int, int] | None = None,
    independent: bool = False,
    suffix: str = "",
    initial_weights: str | None = None,
) -> Training:
    """Name a training and its cells after what tells them apart from others of the launch.

    Raises ModelError if its network is a user's own and cannot predict what it is trained on.
    """
    check_own_model(fit)
    name = f"{fit.model}-{fit.head}-lr{format_lr(fit.lr)}{suffix}"
    cells = tuple(
        Cell(f"{name}-e{epochs}", epochs, (published or {}).get(epochs))
        for epochs in fit.milestones
    )
    training_id = cells[-1].cell_id if independent else name
    return Training(training_id, fit, cells, initial_weights)


def check_models(task: Task, names: Iterable[str]) -> None:
    """Refuse models that are unknown or made for the other task."""
    valid = list_models(task)
    for name in names:
        if name not in valid:
            raise ChromatuneError(
                f"'{name}' is not a {task} model{nearest(name, valid)} (valid: {', '.join(valid)})"
            )


def need_planes(trainings: Iterable[Training]) -> bool:
    """Whether one of the trainings is trained on planes, or takes its means of cut planes."""
    return any(training.fit.needs_planes for training in trainings)


def costliest_first(trainings: Sequence[Training]) -> list[Training]:
    """Sort by estimated arithmetic, largest first (stable)."""
    operations = Operations()
    return sorted(trainings, key=lambda each: -each.epochs * operations.of(each.fit))


def network_without_weights(fit: FitConfig) -> ChromaModel:
    """Build the network of a training, without memory for weights; ModelError if it is none."""
    with drawing_no_weights(model_info(fit.model).code):
        return create_model(fit.model, head=fit.head, image_size=fit.image_size, **fit.model_kwargs)


class Operations:
    """About how many multiplications one picture's forward pass takes; counted once a network."""

    def __init__(self) -> None:
        self._known: dict[str, int] = {}  # trainings of one network differ in other settings

    def of(self, fit: FitConfig) -> int:
        network = repr((fit.model, fit.head, fit.image_size, fit.model_kwargs))
        if network not in self._known:
            self._known[network] = _operations(fit)
        return self._known[network]


def _operations(fit: FitConfig) -> int:
    """Count with hooks.

    torch's own counter would import its compiler, which takes seconds, and many an operation on the
    meta device, `to_empty` too, imports SymPy.
    """
    model = network_without_weights(fit)
    model._apply(  # type: ignore[no-untyped-call]
        lambda tensor: torch.zeros(tensor.shape, dtype=tensor.dtype)
    )
    operations = 0

    def count(module: nn.Module, _: Any, output: Any) -> None:
        nonlocal operations
        own = sum(parameter.numel() for parameter in module.parameters(recurse=False))
        # Other outputs, such as lists of planes or attention, count as one value.
        operations += own * (math.prod(output.shape[2:]) if isinstance(output, Tensor) else 1)

    for module in model.modules():
        module.register_forward_hook(count)
    with torch.inference_mode():
        model.eval()(torch.zeros(1, 1, fit.image_size, fit.image_size))
    return max(1, operations)
