"""What one training is: the configuration that `fit()` takes."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from models import model_task
from tuning.errors import ChromatuneError


@dataclass(frozen=True)
class FitConfig:
    """One training: a model, how it is trained, and the epochs at which its state is a grid cell.

    `milestones` increase, and the last is the number of epochs. Validation takes place at every
    milestone, after every `eval_every` epochs, and after the first; without `eval_every`, about
    twenty times a training. Raises ChromatuneError for values that cannot be trained with, and
    models.ModelError for an unknown model.
    """

    model: str
    head: str
    lr: float
    milestones: tuple[int, ...]
    batch_size: int = 100
    weight_decay: float = 1e-5
    seed: int = 0
    eval_every: int | None = None
    image_size: int = 128
    model_kwargs: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        # Lists come out of JSON and YAML; a tuple can be hashed and compared.
        object.__setattr__(self, "milestones", tuple(self.milestones))
        _require(math.isfinite(self.lr) and self.lr > 0, "lr > 0", lr=self.lr)
        _require(
            math.isfinite(self.weight_decay) and self.weight_decay >= 0,
            "weight_decay >= 0",
            weight_decay=self.weight_decay,
        )
        _require(self.batch_size >= 1, "batch_size >= 1", batch_size=self.batch_size)
        # torch takes seeds up to 64 bits; JSON and MLflow keep 63 of them exactly.
        _require(0 <= self.seed < 2**63, "0 <= seed < 2**63", seed=self.seed)
        _require(
            self.eval_every is None or self.eval_every >= 1,
            "eval_every >= 1",
            eval_every=self.eval_every,
        )
        _require(
            bool(self.milestones)
            and self.milestones[0] >= 1
            and list(self.milestones) == sorted(set(self.milestones)),
            "increasing milestones >= 1",
            milestones=self.milestones,
        )

    @property
    def epochs(self) -> int:
        """The number of epochs: the last milestone."""
        return self.milestones[-1]

    @property
    def task(self) -> str:
        """The task of the model."""
        return model_task(self.model)

    def is_validated(self, epoch: int) -> bool:
        """Say whether the model is validated after this epoch, counted from 1."""
        every = self.eval_every or max(1, self.epochs // 20)
        return epoch == 1 or epoch % every == 0 or epoch in self.milestones

    def identity(self) -> dict[str, Any]:
        """Return what decides the weights after a given number of epochs, JSON-able.

        The milestones are left out: a training may go on beyond the ones it began with.
        """
        return {
            "model": self.model,
            "head": self.head,
            "lr": self.lr,
            "batch_size": self.batch_size,
            "weight_decay": self.weight_decay,
            "seed": self.seed,
            "image_size": self.image_size,
            "model_kwargs": {
                key: list(value) if isinstance(value, tuple) else value
                for key, value in self.model_kwargs.items()
            },
        }


def _require(holds: bool, rule: str, **values: object) -> None:
    if not holds:
        got = ", ".join(f"{name}={value!r}" for name, value in values.items())
        raise ChromatuneError(f"`{rule}` must hold, but got ({got})")
