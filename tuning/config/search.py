"""Configuration of a search, with the names of Optuna and Ray Tune."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    StrictStr,
    TypeAdapter,
    ValidationError,
    WithJsonSchema,
)

from tuning.config.schema import Count, LaunchConfig, absolute_path
from tuning.errors import ChromatuneError, nearest
from tuning.training.options import Positive
from tuning.utils.addresses import DATABASES, check_store
from tuning.utils.environment import expanded
from tuning.utils.safe_yaml import read_yaml_file

SAMPLERS = ("tpe", "gp", "cmaes", "random", "grid")
_CLASS = r"^[A-Za-z_][\w.]*:[A-Za-z_]\w*$"
_CONFIRM = r"[1-9]\d?x[2-9]"
Scheduler = Literal["asha", "hyperband", "asha-stop", "median", "none"]


def absolute_storage(value: str) -> str:
    """Make the path of a journal file or a SQLite database absolute.

    Raises ChromatuneError for a mistyped address.
    """
    check_store(value, "the study storage", DATABASES)
    scheme, separator, rest = value.partition(":///")
    if separator and scheme.partition("+")[0] == "sqlite":
        return f"{scheme}:///{expanded(rest).absolute()}"
    return value if "://" in value else absolute_path(value)


def _checked_sampler(value: str) -> str:
    if value in SAMPLERS or re.match(_CLASS, value):
        return value
    names = ", ".join(SAMPLERS)
    raise ValueError(
        f"input should be {names} or MODULE:CLASS of an Optuna sampler{nearest(value, SAMPLERS)}"
    )


Sampler = Annotated[
    str,
    AfterValidator(_checked_sampler),
    WithJsonSchema({"anyOf": [{"enum": list(SAMPLERS)}, {"pattern": _CLASS}], "type": "string"}),
]


def _checked_confirm(value: str) -> str:
    if re.fullmatch(_CONFIRM, value):
        return value
    raise ValueError("input should be BESTxSEEDS, such as 3x3, with at least two seeds")


class SearchConfig(BaseModel):
    """What is searched, how, and for how long.

    `space` and `points` are checked when the task and the dataset are known: see `read_space`.
    `recipe` names a configuration of `chromatune train`, which is tried first and becomes a prior;
    with `transfer`, so do the best trainings on other datasets.
    `scheduler` None stands for `asha`, or for `none` with several objectives, because a scheduler
    stops trials by the first alone. `confirm` is `3x3` to train the three best with three seeds.
    `max_stagnation_trials` ends the search after as many trials that do not improve the best score
    by more than `min_improvement`, in the unit of the objective.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    space: Annotated[dict[str, Any], Field(min_length=1)]
    objectives: list[str] = []
    num_samples: Count = 20
    sampler: Sampler = "tpe"
    sampler_options: dict[str, Any] = {}
    scheduler: Scheduler | None = None
    grace_period: Count | None = None
    reduction_factor: Annotated[float, Field(gt=1, allow_inf_nan=False)] = 3
    points: list[dict[str, Any]] = []
    warm_start: bool = True
    transfer: bool = False
    recipe: str | None = None
    study_storage: Annotated[str, AfterValidator(absolute_storage)] | None = None
    study_name: str | None = None
    budget_gpu_hours: Positive | None = None
    budget_cpu_hours: Positive | None = None
    max_stagnation_trials: Count | None = None
    min_improvement: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.0
    confirm: (
        Annotated[
            str,
            AfterValidator(_checked_confirm),
            WithJsonSchema({"pattern": f"^{_CONFIRM}$", "type": "string"}),
        ]
        | None
    ) = None

    @property
    def chosen_scheduler(self) -> Scheduler:
        """The configured scheduler, or the default for the number of objectives."""
        return self.scheduler or ("none" if len(self.objectives) > 1 else "asha")

    @property
    def pauses_trials(self) -> bool:
        """Whether the scheduler pauses trials at rungs and resumes the best."""
        return self.chosen_scheduler in ("asha", "hyperband")

    @property
    def confirmed(self) -> tuple[int, int]:
        """How many of the best configurations are confirmed with how many seeds; (0, 0) of none."""
        best, _, seeds = (self.confirm or "0x0").partition("x")
        return int(best), int(seeds)


class SearchLaunchConfig(LaunchConfig):
    search: SearchConfig


def read_points(file: Path) -> list[dict[str, Any]]:
    """Read configurations to try first: a YAML list of `key: value`; missing keys are drawn."""
    content = read_yaml_file(file, "points")
    try:
        return TypeAdapter(list[dict[StrictStr, Any]]).validate_python(content)
    except ValidationError:
        raise ChromatuneError(
            f"{file} must hold a list of configurations, such as `- {{lr: 1.0e-3, model: unet}}`"
        ) from None
