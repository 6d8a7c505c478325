"""The options of a training, declared once for `fit()` and for configuration files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import KW_ONLY, field
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field, WithJsonSchema
from pydantic.dataclasses import dataclass

from tuning.errors import nearest

Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
_Share = Annotated[float, Field(ge=0, lt=1, allow_inf_nan=False)]

BUILT_IN_LOSSES = ("mse", "l1", "huber")


def _known_loss(name: str) -> str:
    if name not in BUILT_IN_LOSSES:
        from tuning.training.losses import LOSSES  # imports torch, which takes seconds

        valid = (*BUILT_IN_LOSSES, *LOSSES)
        if name not in valid:
            raise ValueError(f"unknown loss{nearest(name, valid)} (valid: {', '.join(valid)})")
    return name


_NAMED: dict[str, Any] = {"anyOf": [{"enum": list(BUILT_IN_LOSSES)}, {"type": "string"}]}
Loss = Annotated[str, AfterValidator(_known_loss), WithJsonSchema(_NAMED)]
ALL = "all"
# One name may stand alone.
EvalMetrics = Annotated[
    tuple[str, ...], BeforeValidator(lambda value: [value] if isinstance(value, str) else value)
]
Schedule = Literal["constant", "cosine", "onecycle"]


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class TrainingOptions:
    """A model, and how it is trained. By default as in the original paper, with all else off.

    - `loss` is `mse`, `l1`, `huber` or a registered one, in the head's range; `mean_weight` adds
      that many times the squared error of each picture's mean, for a model that is trained on
      planes, and `category_weight` the cross-entropy of the category or person that the picture
      shows, for a model that tells `categories`.
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
      training after so many epochs without a better one. `keep_by` is the metric that decides, such
      as `val_ssim`; by default it is the task's own.
    """

    model: str
    head: str
    lr: Positive
    _: KW_ONLY
    model_kwargs: Mapping[str, Any] = field(default_factory=dict)
    loss: Loss = "mse"
    mean_weight: NotNegative = 0.0
    category_weight: NotNegative = 0.0
    optimizer: Literal["adam", "adamw"] = "adam"
    schedule: Schedule = "constant"
    warmup: _Share = 0.0
    precision: Literal["float32", "tf32", "bfloat16"] = "float32"
    ema: _Share = 0.0
    flip_average: bool = False
    shuffle: bool = False
    flip: bool = False
    zoom: Annotated[float, Field(gt=0, le=1, allow_inf_nan=False)] = 1.0
    shift: _Share = 0.0
    rotate: Annotated[float, Field(ge=0, le=180, allow_inf_nan=False)] = 0.0
    keep: Literal["last", "best"] = "last"
    keep_by: str | None = None
    patience: Annotated[int, Field(ge=1)] | None = None
