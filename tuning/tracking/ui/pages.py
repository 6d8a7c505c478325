"""The pages of the MLflow UI to open after a launch: its experiment, the best, the champion."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Sequence

from mlflow import MlflowClient
from mlflow.entities import Experiment
from mlflow.exceptions import MlflowException

from tuning.errors import ChromatuneError, nearest
from tuning.tracking.registry.catalog import find_champion
from tuning.tracking.runs import TAG
from tuning.tracking.store import make_client, reading, search_all_experiments
from tuning.tracking.ui.experiment import best_runs, update_best_view
from tuning.tracking.ui.links import experiment_page, version_page
from tuning.tracking.ui.views import BEST, CELLS


@dataclasses.dataclass(frozen=True)
class Place:
    """A page: its title, and its address relative to where the UI is served."""

    title: str
    path: str


def find_places(tracking_uri: str, experiment: str | None = None) -> dict[str, Place]:
    """Pages worth opening: `experiment`, `comparison` of its best cells, `champion` of its dataset.

    Without a name, the experiment is the one with the newest run. Pages that do not exist yet are
    left out. Raises ChromatuneError if the named experiment does not exist, or the store cannot be
    read.
    """
    client = make_client(tracking_uri)
    with reading():
        ours = [e for e in search_all_experiments(client) if f"{TAG}task" in e.tags]
        chosen = _chosen(client, ours, experiment)
        if chosen is None:
            return {}
        experiment_id, task = str(chosen.experiment_id), chosen.tags[f"{TAG}task"]
        page = experiment_page(experiment_id, CELLS)
        places = {"experiment": Place(f"{chosen.name}, best first", page)}
        best = best_runs(client, experiment_id, task)
        if len(best) > 1:
            with contextlib.suppress(MlflowException):  # this user may only read
                update_best_view(client, experiment_id, task, best)
            page = experiment_page(experiment_id, BEST, charts=True)
            places["comparison"] = Place(f"best {len(best)}", page)
    dataset = chosen.tags.get(f"{TAG}dataset", "")
    champion = find_champion(tracking_uri, dataset, task)
    if champion is not None:
        path = version_page(champion.name, str(champion.version))
        places["champion"] = Place(champion.label, path)
    return places


def _chosen(
    client: MlflowClient, ours: Sequence[Experiment], name: str | None
) -> Experiment | None:
    if name is not None:
        by_name = {experiment.name: experiment for experiment in ours}
        if name not in by_name:
            raise ChromatuneError(
                f"no experiment '{name}' in this store{nearest(name, list(by_name))}"
            )
        return by_name[name]
    by_id = {str(experiment.experiment_id): experiment for experiment in ours}
    if not by_id:
        return None
    newest = client.search_runs(list(by_id), max_results=1, order_by=["attributes.start_time DESC"])
    return by_id[str(newest[0].info.experiment_id)] if newest else ours[-1]
