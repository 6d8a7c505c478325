"""What one training is: the configuration that `fit()` takes."""

from __future__ import annotations

import dataclasses
from typing import Annotated, Any, Self

from pydantic import ConfigDict, Field, ModelWrapValidatorHandler, ValidationError, model_validator
from pydantic.dataclasses import dataclass

from models import model_info
from tuning.errors import ChromatuneError, nearest
from tuning.training.options import ALL, EvalMetrics, NotNegative, TrainingOptions
from tuning.training.tasks import Task, metric_names, registered_names
from tuning.utils.faults import describe_fault

_Count = Annotated[int, Field(ge=1)]
_ALWAYS_NAMED = ("model", "head", "lr", "batch_size", "weight_decay", "seed", "image_size")


# Settings of other versions in a launch folder are rejected.
@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class FitConfig(TrainingOptions):
    """One training: a model, how it is trained, and the epochs at which its state is a grid cell.

    `milestones` increase, and the last is the number of epochs. Validation takes place at every
    milestone, after the epochs `validate_at`, after every `eval_every` epochs, and after the first;
    without `eval_every`, about twenty times a training. It measures MSE, PSNR, registered metrics,
    `keep_by` and `eval_metrics`, where `all` stands for all; the rest is measured of a state that
    becomes a cell, as a milestone's does. Raises ChromatuneError for values that cannot be trained
    with, and models.ModelError for an unknown model.
    """

    milestones: Annotated[tuple[_Count, ...], Field(min_length=1)]
    _: dataclasses.KW_ONLY
    batch_size: _Count = 100
    weight_decay: NotNegative = 1e-5
    # torch takes seeds up to 64 bits; JSON and MLflow keep 63 of them exactly.
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0
    eval_every: _Count | None = None
    eval_metrics: EvalMetrics = ()
    validate_at: tuple[_Count, ...] = ()
    image_size: int = 128

    @model_validator(mode="wrap")
    @classmethod
    def _one_line(cls, values: Any, validate: ModelWrapValidatorHandler[Self]) -> Self:
        try:
            return validate(values)
        except ValidationError as error:
            raise ChromatuneError(describe_fault(error, cls)) from None

    def __post_init__(self) -> None:
        if list(self.milestones) != sorted(set(self.milestones)):
            raise ChromatuneError(f"milestones must increase, but are {self.milestones}")
        if self.category_weight and not self.model_kwargs.get("categories"):
            raise ChromatuneError("category_weight needs a model with model_kwargs.categories")
        if self.mean_weight and model_info(self.model).trained_on != "planes":
            raise ChromatuneError(f"mean_weight is of no use: {self.model} is trained on means")
        self._check_metrics()
        # Only of one state can there be a best one, and a schedule is that of the whole training.
        is_whole = self.schedule != "constant" or self.patience is not None or self.keep == "best"
        if is_whole and len(self.milestones) > 1:
            raise ChromatuneError(
                "a schedule, patience or keep='best' needs a single milestone, not "
                f"{self.milestones}"
            )

    def _check_metrics(self) -> None:
        valid = [f"val_{metric}" for metric in metric_names(self.task)]
        kept_by = () if self.keep_by is None else (("keep_by", self.keep_by),)
        for option, name in (*kept_by, *(("eval_metrics", name) for name in self.eval_metrics)):
            if name not in valid and (option, name) != ("eval_metrics", ALL):
                raise ChromatuneError(
                    f"{option} '{name}' is not a metric of {self.task}"
                    f"{nearest(name, valid)} (valid: {', '.join(valid)})"
                )
        if self.keep_by is not None and self.keep != "best" and self.patience is None:
            raise ChromatuneError("keep_by needs keep='best' or patience")

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
        return model_info(self.model).trained_on == "planes" or self._moves

    @property
    def epochs(self) -> int:
        """The number of epochs: the last milestone."""
        return self.milestones[-1]

    @property
    def task(self) -> Task:
        """The task of the model."""
        return model_info(self.model).task

    def is_validated(self, epoch: int) -> bool:
        """Say whether the model is validated after this epoch, counted from 1."""
        every = self.eval_every or max(1, self.epochs // 20)
        return epoch == 1 or epoch % every == 0 or epoch in (*self.milestones, *self.validate_at)

    def validated_metrics(self, epoch: int) -> frozenset[str]:
        """The metrics that are measured after this epoch, without prefix; MSE and PSNR always are.

        A milestone's state becomes a cell, which has all.
        """
        if ALL in self.eval_metrics or epoch in self.milestones:
            return frozenset(metric_names(self.task))
        watched = [*self.eval_metrics, *([self.keep_by] if self.keep_by else [])]
        own = [name.removeprefix("val_") for name in watched]
        return frozenset([*own, *registered_names(self.task)])

    def identity(self) -> dict[str, Any]:
        """Return what decides the weights after a given number of epochs, JSON-able.

        The milestones are left out: a training may continue beyond the ones it began with, unless a
        schedule makes every step depend on the last. So are options that are off, which checkpoints
        from before there were any lack.
        """
        identity = {name: getattr(self, name) for name in _ALWAYS_NAMED}
        identity["model_kwargs"] = {
            key: list(value) if isinstance(value, tuple) else value
            for key, value in self.model_kwargs.items()
        }
        for option in dataclasses.fields(TrainingOptions):
            value = getattr(self, option.name)
            if option.name not in identity and value != option.default:
                identity[option.name] = value
        if self.schedule != "constant":
            identity["epochs"] = self.epochs
        return identity
