"""Objectives of a search: metrics of the state that each trial keeps, and its costs."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from itertools import accumulate
from typing import Any

from tuning.config.schema import Task
from tuning.errors import ChromatuneError, nearest
from tuning.training.tasks import CRITERIA, higher_is_better, metric_names

_COSTS = ("parameters", "train_seconds")


@dataclasses.dataclass(frozen=True)
class Objective:
    """A metric or cost of a trial, and its direction."""

    name: str
    maximize: bool

    def __str__(self) -> str:
        return f"{self.name}:{'max' if self.maximize else 'min'}"

    @property
    def is_metric(self) -> bool:
        """Whether validations measure it."""
        return self.name not in _COSTS

    @property
    def direction(self) -> str:
        return "maximize" if self.maximize else "minimize"

    @property
    def sign(self) -> float:
        """By which values are multiplied so that larger ones are better."""
        return 1.0 if self.maximize else -1.0


def read_objectives(task: Task, words: Sequence[str]) -> tuple[Objective, ...]:
    """Read `val_psnr:max`, `parameters:min`, …; the default is the task's own score.

    The first must be a metric: a trial keeps its best state by it. Raises ChromatuneError for an
    unknown name or the wrong direction.
    """
    criterion = CRITERIA[task]
    if not words:
        return (Objective(f"val_{criterion.name}", criterion.higher_is_better),)
    objectives = tuple(_read(task, word) for word in words)
    names = [objective.name for objective in objectives]
    if names[0] in _COSTS:
        raise ChromatuneError(
            f"the first objective must be a validation metric such as val_{criterion.name}, by "
            f"which a trial keeps its best state, but got '{words[0]}': list it after one"
        )
    same = {f"val_{name}" for name in criterion.equivalents}
    if len(set(names)) != len(names) or len(set(names) & same) > 1:
        raise ChromatuneError(f"objectives must differ, but got {', '.join(words)}")
    return objectives


def keep_by(task: Task, objective: Objective) -> str | None:
    """The metric by which trials keep their best state, as `FitConfig.keep_by` names it."""
    is_own = objective.name.removeprefix("val_") in CRITERIA[task].equivalents
    return None if is_own else objective.name


def check_measured(objectives: Sequence[Objective], baseline: Mapping[str, float]) -> None:
    """Raise ChromatuneError for a metric that the validation set is too small for.

    `baseline` are the constant predictor's metrics.
    """
    for objective in objectives:
        if objective.name not in (*baseline, *_COSTS):
            raise ChromatuneError(f"{objective.name} needs more validation pictures than there are")


def _read(task: Task, word: str) -> Objective:
    name, _, direction = word.partition(":")
    valid = (*(f"val_{metric}" for metric in metric_names(task)), *_COSTS)
    if name not in valid:
        raise ChromatuneError(
            f"unknown objective '{name}'{nearest(name, valid)} (valid: {', '.join(valid)})"
        )
    maximize = name not in _COSTS and higher_is_better(name)
    right = "max" if maximize else "min"
    if direction != right:
        raise ChromatuneError(f"objective '{word}' has the wrong direction: write {name}:{right}")
    return Objective(name, maximize)


def best_so_far(history: Sequence[Mapping[str, Any]], objective: Objective) -> dict[int, float]:
    """Return the best value of an objective until each epoch of a training that was validated."""
    scored = [record for record in history if objective.name in record]
    values = (record[objective.name] for record in scored)
    best = accumulate(values, max if objective.maximize else min)
    return {record["epoch"]: score for record, score in zip(scored, best, strict=True)}
