"""What one training is: the configuration that `fit()` takes."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from models import model_task, model_trained_on
from tuning.errors import ChromatuneError, nearest

Loss = Literal["mse", "l1", "huber"]
Optimizer = Literal["adam", "adamw"]
Schedule = Literal["constant", "cosine", "onecycle"]
Precision = Literal["float32", "tf32", "bfloat16"]
Keep = Literal["last", "best"]


@dataclass(frozen=True)
class FitConfig:
    """One training: a model, how it is trained, and the epochs at which its state is a grid cell.

    `milestones` increase, and the last is the number of epochs. Validation takes place at every
    milestone, after every `eval_every` epochs, and after the first; without `eval_every`, about
    twenty times a training. The rest is off by default, as in the original paper:

    - `loss` is `mse`, `l1` or `huber`, in the head's range; `mean_weight` adds that many times the
      squared error of each picture's mean, for a model that is trained on planes, and
      `category_weight` the cross-entropy of the category or person that the picture shows, for a
      model that tells `categories`.
    - `optimizer` is `adam`, whose weight decay is part of the gradient, or `adamw`.
    - `schedule` is `constant`, `cosine` (down to 0) or `onecycle` (up from a 25th, down to a
      10 000th); `warmup` is the share of the training in which the learning rate rises.
    - `precision` `bfloat16` lets torch compute the forward pass in it, `tf32` lets a GPU round what
      it multiplies; weights stay float32.
    - `ema` is the decay of a moving average of the weights, which is then what is validated and
      kept; `flip_average` lets the model predict the average of a picture and its mirror image.
    - `shuffle` draws new batches every epoch. `flip`, `zoom` (side of the smallest crop, as a share
      of the picture's), `shift` (the farthest, likewise) and `rotate` (the widest, in degrees) cut
      every picture anew each epoch, from the originals alone instead of their prepared copies; an
      epoch is as long as before.
    - `keep` `best` makes the state with the best validation score the result; `patience` ends the
      training after so many epochs without a better one.

    Raises ChromatuneError for values that cannot be trained with, and models.ModelError for an
    unknown model.
    """

    # Settings of other versions in a launch folder are rejected.
    __pydantic_config__ = {"extra": "forbid"}  # noqa: RUF012

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
    loss: Loss = "mse"
    mean_weight: float = 0.0
    category_weight: float = 0.0
    optimizer: Optimizer = "adam"
    schedule: Schedule = "constant"
    warmup: float = 0.0
    precision: Precision = "float32"
    ema: float = 0.0
    flip_average: bool = False
    shuffle: bool = False
    flip: bool = False
    zoom: float = 1.0
    shift: float = 0.0
    rotate: float = 0.0
    keep: Keep = "last"
    patience: int | None = None

    def __post_init__(self) -> None:
        # Lists come out of JSON and YAML; a tuple can be hashed and compared.
        object.__setattr__(self, "milestones", tuple(self.milestones))
        for name, valid in _CHOICES.items():
            value = getattr(self, name)
            if value not in valid:
                raise ChromatuneError(
                    f"unknown {name} '{value}'{nearest(str(value), valid)} "
                    f"(valid: {', '.join(valid)})"
                )
        for rule, names, holds in _RULES:
            if not holds(self):
                got = ", ".join(f"{name}={getattr(self, name)!r}" for name in names)
                raise ChromatuneError(f"`{rule}` must hold, but got ({got})")

    @property
    def augments(self) -> bool:
        """Whether pictures are cut anew each epoch."""
        return self.flip or self._moves

    @property
    def _moves(self) -> bool:
        return self.zoom < 1 or self.shift > 0 or self.rotate > 0

    @property
    def needs_planes(self) -> bool:
        """Whether it needs the a and b planes: the mean of a cut is not that of its picture."""
        return model_trained_on(self.model) == "planes" or self._moves

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

        The milestones are left out: a training may go on beyond the ones it began with, unless a
        schedule makes every step depend on the last. So are options that are off, which checkpoints
        from before there were any lack.
        """
        options = {
            option.name: getattr(self, option.name)
            for option in dataclasses.fields(self)
            if option.name in OPTIONS and getattr(self, option.name) != option.default
        }
        if self.schedule != "constant":
            options["epochs"] = self.epochs
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
            **options,
        }


# What the original paper did not have.
OPTIONS = (
    *("loss", "mean_weight", "category_weight", "optimizer", "schedule", "warmup"),
    *(
        "precision",
        "ema",
        "flip_average",
        "shuffle",
        "flip",
        "zoom",
        "shift",
        "rotate",
        "keep",
        "patience",
    ),
)

_CHOICES: Mapping[str, tuple[str, ...]] = {
    "loss": get_args(Loss),
    "optimizer": get_args(Optimizer),
    "schedule": get_args(Schedule),
    "precision": get_args(Precision),
    "keep": get_args(Keep),
}


# What must hold, the fields to show if it does not, and the check.
_RULES: tuple[tuple[str, tuple[str, ...], Callable[[FitConfig], bool]], ...] = (
    ("lr > 0", ("lr",), lambda c: math.isfinite(c.lr) and c.lr > 0),
    (
        "weight_decay >= 0",
        ("weight_decay",),
        lambda c: math.isfinite(c.weight_decay) and c.weight_decay >= 0,
    ),
    ("batch_size >= 1", ("batch_size",), lambda c: c.batch_size >= 1),
    # torch takes seeds up to 64 bits; JSON and MLflow keep 63 of them exactly.
    ("0 <= seed < 2**63", ("seed",), lambda c: 0 <= c.seed < 2**63),
    ("eval_every >= 1", ("eval_every",), lambda c: c.eval_every is None or c.eval_every >= 1),
    (
        "increasing milestones >= 1",
        ("milestones",),
        lambda c: (
            bool(c.milestones)
            and c.milestones[0] >= 1
            and list(c.milestones) == sorted(set(c.milestones))
        ),
    ),
    ("mean_weight >= 0", ("mean_weight",), lambda c: 0 <= c.mean_weight < math.inf),
    ("category_weight >= 0", ("category_weight",), lambda c: 0 <= c.category_weight < math.inf),
    (
        "category_weight == 0 for a model without model_kwargs.categories",
        ("category_weight",),
        lambda c: c.category_weight == 0 or bool(c.model_kwargs.get("categories")),
    ),
    ("0 <= warmup < 1", ("warmup",), lambda c: 0 <= c.warmup < 1),
    ("0 <= ema < 1", ("ema",), lambda c: 0 <= c.ema < 1),
    ("0 < zoom <= 1", ("zoom",), lambda c: 0 < c.zoom <= 1),
    ("0 <= shift < 1", ("shift",), lambda c: 0 <= c.shift < 1),
    ("0 <= rotate <= 180", ("rotate",), lambda c: 0 <= c.rotate <= 180),
    ("patience >= 1", ("patience",), lambda c: c.patience is None or c.patience >= 1),
    (
        "mean_weight == 0 for a model that is trained on means",
        ("model", "mean_weight"),
        lambda c: c.mean_weight == 0 or model_trained_on(c.model) == "planes",
    ),
    # Only of one state can there be a best one, and a schedule is that of the whole training.
    (
        "a single milestone with a schedule, patience or keep='best'",
        ("milestones",),
        lambda c: (
            len(c.milestones) == 1
            or (c.keep == "last" and c.schedule == "constant" and c.patience is None)
        ),
    ),
)
