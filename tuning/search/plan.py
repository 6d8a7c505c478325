"""A search's configuration, checked as a whole before anything starts."""

from __future__ import annotations

import dataclasses

from tuning.config.schema import Task
from tuning.config.search import SearchConfig, SearchLaunchConfig
from tuning.search.objectives import Objective, read_objectives
from tuning.search.samplers import check_sampler
from tuning.search.space import Space
from tuning.search.space_file import read_space
from tuning.search.stopping import make_rule


@dataclasses.dataclass(frozen=True)
class SearchPlan:
    """A configuration and what it describes; `advice` are notes for the user."""

    config: SearchLaunchConfig
    space: Space
    objectives: tuple[Objective, ...]
    advice: tuple[str, ...]

    @property
    def search(self) -> SearchConfig:
        return self.config.search

    @property
    def seed(self) -> int:
        return self.config.training.seed


def plan_search(task: Task, config: SearchLaunchConfig, image_size: int) -> SearchPlan:
    """Check everything that can be checked without data, study or Ray.

    Raises ChromatuneError for whatever is wrong, with the nearest valid word.
    """
    search = config.search
    space = read_space(task, search.space, config.training, image_size)
    objectives = read_objectives(task, search.objectives)
    advice = check_sampler(search, space, objectives)
    make_rule(search, space.most_epochs)
    for point in search.points:
        space.checked_point(point)
    return SearchPlan(config, space, objectives, tuple(advice))
