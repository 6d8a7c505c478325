"""The pages of the MLflow UI to open after a launch: its experiment, the best, the champion."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Sequence

from mlflow import MlflowClient
from mlflow.entities import Experiment, Run
from mlflow.exceptions import MlflowException

from tuning.errors import ChromatuneError, nearest
from tuning.tracking.registry.versions import find_champion
from tuning.tracking.runs import TAG
from tuning.tracking.store import first_line, make_client, search_all_experiments
from tuning.tracking.ui.experiment import best_runs, dress_experiment, show_best
from tuning.tracking.ui.links import comparison_page, experiment_page, version_page
from tuning.tracking.ui.views import BEST, CELLS


@dataclasses.dataclass(frozen=True)
class Place:
    """A page: what is to be seen there, and its address relative to where the UI is served."""

    title: str
    path: str


def find_places(tracking_uri: str, experiment: str | None = None) -> dict[str, Place]:
    """Pages worth opening: `experiment`, `comparison` of its best cells, `champion` of its data.

    Without a name, the experiment is the one that was last trained in. What is not there yet is
    left out. Experiments of older versions get the views that the pages need. Raises
    ChromatuneError if the named experiment is not there, or the store cannot be read.
    """
    client = make_client(tracking_uri)
    try:
        ours = [one for one in search_all_experiments(client) if f"{TAG}task" in one.tags]
        chosen = _chosen(client, ours, experiment)
        if chosen is None:
            return {}
        for one in ours:
            # Where this user may not write, the pages open as MLflow thinks best.
            with contextlib.suppress(MlflowException):
                dress_experiment(client, one.experiment_id, *_about(one))
        return _places(client, chosen, tracking_uri)
    except MlflowException as error:
        raise ChromatuneError(f"cannot read the runs in MLflow: {first_line(error)}") from None


def _chosen(
    client: MlflowClient, ours: Sequence[Experiment], name: str | None
) -> Experiment | None:
    if name is not None:
        known = [one.name for one in ours]
        if name not in known:
            raise ChromatuneError(f"no experiment '{name}' in this store{nearest(name, known)}")
        return ours[known.index(name)]
    by_id = {str(one.experiment_id): one for one in ours}
    if not by_id:
        return None
    newest = client.search_runs(list(by_id), max_results=1, order_by=["attributes.start_time DESC"])
    return by_id[str(newest[0].info.experiment_id)] if newest else ours[-1]


def _places(client: MlflowClient, experiment: Experiment, tracking_uri: str) -> dict[str, Place]:
    experiment_id = str(experiment.experiment_id)
    task, _, dataset = _about(experiment)
    places = {
        "experiment": Place(f"{experiment.name}, best first", experiment_page(experiment_id, CELLS))
    }
    best = best_runs(client, experiment_id, task)
    if len(best) > 1:
        places["comparison"] = Place(f"best {len(best)}", _comparison(client, experiment, best))
    champion = find_champion(tracking_uri, dataset, task)
    if champion is not None:
        places["champion"] = Place(
            f"{champion.name} version {champion.version}",
            version_page(champion.name, champion.version),
        )
    return places


def _comparison(client: MlflowClient, experiment: Experiment, runs: Sequence[Run]) -> str:
    experiment_id = str(experiment.experiment_id)
    try:
        show_best(client, experiment_id, _about(experiment)[0])
    except MlflowException:
        return comparison_page(experiment_id, [run.info.run_id for run in runs])
    return experiment_page(experiment_id, BEST, charts=True)


def _about(experiment: Experiment) -> tuple[str, str, str]:
    tags = experiment.tags
    return tags[f"{TAG}task"], tags.get(f"{TAG}kind", ""), tags.get(f"{TAG}dataset", "")
