"""A search's configuration, checked as a whole before anything starts."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from tuning.config.schema import Task
from tuning.config.search import SearchConfig, SearchLaunchConfig
from tuning.display.formatting import format_count
from tuning.errors import ChromatuneError
from tuning.search.distributions import is_key
from tuning.search.objectives import Objective, keep_by, read_objectives
from tuning.search.samplers import check_sampler
from tuning.search.space import Space
from tuning.search.space_file import read_space
from tuning.search.stopping import make_rule


@dataclasses.dataclass(frozen=True)
class SearchPlan:
    """A configuration and what it describes.

    `points` are those of its points that are in the space, `advice` notes for the user.
    """

    config: SearchLaunchConfig
    space: Space
    objectives: tuple[Objective, ...]
    advice: tuple[str, ...]
    points: tuple[Mapping[str, Any], ...] = ()

    @property
    def search(self) -> SearchConfig:
        return self.config.search

    @property
    def seed(self) -> int:
        return self.config.training.seed


def plan_search(
    task: Task, config: SearchLaunchConfig, image_size: int, *, strict_points: bool = False
) -> SearchPlan:
    """Check everything that can be checked without data, study or Ray.

    Points whose values are not in the space, because settings have narrowed it since they were
    written, are dropped with a note unless `strict_points`. Raises ChromatuneError for whatever
    else is wrong, with the nearest valid word.
    """
    search = config.search
    objectives = read_objectives(task, search.objectives)
    space = read_space(task, search.space, config.training, image_size)
    # A trial that is cut short has the values of its last validation.
    others = [other.name for other in objectives[1:] if other.is_metric]
    space = space.keeping(keep_by(task, objectives[0]), others)
    for name in ("confirm", "max_stagnation_trials"):
        if getattr(search, name) and len(objectives) > 1:
            raise ChromatuneError(f"search.{name} takes one objective, which decides")
    advice = check_sampler(search, space, objectives)
    make_rule(search, space.most_epochs)
    points, faults = [], []
    if space.expected and space.expected not in search.points:
        points.append(space.expected)
    for point in search.points:
        try:
            space.checked_point(point)
            points.append(point)
        except ChromatuneError as error:
            if strict_points or not all(map(is_key, point)):
                raise
            faults.append(str(error))
    if faults:
        count = format_count(len(search.points), "point")
        why = "; ".join(dict.fromkeys(faults))
        advice.append(f"dropped {len(faults)} of {count}, which no longer fit: {why}")
    return SearchPlan(config, space, objectives, tuple(advice), tuple(points))
