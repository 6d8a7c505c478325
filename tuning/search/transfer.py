"""What a search starts from besides its own dataset: recipes, and searches on other datasets."""

from __future__ import annotations

from collections.abc import Sequence

from tuning.config.schema import Task
from tuning.config.search import SearchConfig, SearchLaunchConfig
from tuning.errors import ChromatuneError
from tuning.launch.folder import list_launches
from tuning.search.objectives import read_objectives
from tuning.search.space import Space
from tuning.search.space_file import flat
from tuning.search.warm_start import ended_cells
from tuning.training.config import FitConfig


def with_priors(search: SearchConfig, space: Space, recipes: Sequence[FitConfig]) -> SearchConfig:
    """Try trainings first, and expect the best configurations near the first of them.

    Of each only what lies in the space counts. Priors that the space has already are kept.
    """
    points = [point for recipe in recipes if (point := space.near(recipe))]
    expected = points[0] if points else {}
    entries = {
        name: {**entry, "prior": expected[name]}
        if name in expected and entry.get("prior") is None
        else entry
        for name, entry in flat(search.space).items()
    }
    changed = {"points": [*search.points, *points], "space": entries}
    return search.model_copy(update={**changed, "transfer": False, "recipe": None})


def best_elsewhere(config: SearchLaunchConfig, task: Task, dataset_digest: str) -> list[FitConfig]:
    """Find the best finished training on each other dataset; that of the newest launch is first.

    Raises ChromatuneError if there is none.
    """
    objective = read_objectives(task, config.search.objectives)[0]
    best: dict[str, tuple[float, FitConfig]] = {}
    elsewhere = [
        launch
        for launch in list_launches(config.storage_path)
        if launch.task == task and launch.document["dataset_digest"] != dataset_digest
    ]
    for launch, record, fit in ended_cells(elsewhere, ("finished",)):
        if objective.name not in record.values:
            continue
        digest = str(launch.document["dataset_digest"])
        known = best.pop(digest, None)  # the dataset moves to the end
        found = (objective.sign * record.values[objective.name], fit)
        best[digest] = found if known is None else max(known, found, key=lambda pair: pair[0])
    if not best:
        raise ChromatuneError(
            f"{config.storage_path} has no finished {task} training on another dataset to transfer"
        )
    return [fit for _, fit in reversed(best.values())]
