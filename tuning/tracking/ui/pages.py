"""Experiments as the MLflow UI shows them, and the pages to open after a launch."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

from mlflow import MlflowClient
from mlflow.entities import Experiment

from tuning.errors import ChromatuneError, nearest
from tuning.tracking.registry.catalog import find_champion
from tuning.tracking.runs import TAG
from tuning.tracking.store import make_client, search_all_experiments, translated
from tuning.tracking.ui.links import description_links, experiment_page, version_page
from tuning.tracking.ui.notes import NOTE
from tuning.tracking.ui.views import CELLS, cells_view_tag
from tuning.training.tasks import CRITERIA


@dataclasses.dataclass(frozen=True)
class Place:
    """A page: its title, and its address relative to where the UI is served."""

    title: str
    path: str


def find_places(tracking_uri: str, experiment: str | None = None) -> dict[str, Place]:
    """Pages worth opening: `experiment`, `charts` of its best cells, `champion` of its dataset.

    Without a name, the experiment is the one with the newest run. Pages that do not exist yet are
    left out. Raises ChromatuneError if the named experiment does not exist, or the store cannot be
    read.
    """
    client = make_client(tracking_uri)
    with translated("cannot read the experiments in MLflow"):
        ours = [e for e in search_all_experiments(client) if f"{TAG}task" in e.tags]
        chosen = _chosen(client, ours, experiment)
        if chosen is None:
            return {}
    experiment_id, task = str(chosen.experiment_id), chosen.tags[f"{TAG}task"]
    page = experiment_page(experiment_id, CELLS)
    charts = experiment_page(experiment_id, CELLS, charts=True)
    places = {
        "experiment": Place(f"{chosen.name}, best first", page),
        "charts": Place("charts of the best", charts),
    }
    dataset = chosen.tags.get(f"{TAG}dataset", "")
    champion = find_champion(tracking_uri, dataset, task)
    if champion is not None:
        path = version_page(champion.name, str(champion.version))
        places["champion"] = Place(champion.label, path)
    return places


def set_up_experiment(
    client: MlflowClient,
    experiment_id: str,
    about: Mapping[str, str],
    searched: Sequence[str],
) -> None:
    """Give an experiment its saved view and a description that links to it.

    `about` holds the experiment's `chromatune.` tags. `searched` are the parameters that a search
    in it varies, empty for other launches. An existing description stays. Called again, it changes
    nothing.
    """
    task, kind, dataset = (about.get(f"{TAG}{key}", "") for key in ("task", "kind", "dataset"))
    present = client.get_experiment(experiment_id).tags
    tags = {
        "mlflow.experimentKind": "custom_model_development",
        "mlflow.experiment.primaryMetric.name": f"val_{CRITERIA[task].name}",
    }
    key, view = cells_view_tag(task, searched)
    tags[key] = view
    if NOTE not in present:
        # One line: the experiment's page shows no more of it until it is unfolded.
        links = description_links(experiment_id)
        tags[NOTE] = f"{kind.capitalize()}: {task} on {dataset}. {links}"
    for key, value in tags.items():
        if present.get(key) != value:
            client.set_experiment_tag(experiment_id, key, value)


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
