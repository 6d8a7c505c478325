"""Experiments as the MLflow UI shows them, and the pages to open after a launch."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Mapping, Sequence

from mlflow import MlflowClient
from mlflow.entities import Experiment, Run
from mlflow.exceptions import MlflowException

from tuning.errors import ChromatuneError, nearest
from tuning.tracking.registry.catalog import find_champion
from tuning.tracking.runs import TAG
from tuning.tracking.store import make_client, reading, search_all_experiments
from tuning.tracking.ui.links import experiment_page, version_page
from tuning.tracking.ui.notes import NOTE, differing, link_line
from tuning.tracking.ui.views import BEST, CELLS, LAUNCHES, best_view_tag, view_tags
from tuning.training.tasks import CRITERIA

_COMPARED = 5


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


def set_up_experiment(
    client: MlflowClient,
    experiment_id: str,
    about: Mapping[str, str],
    searched: Sequence[str],
) -> None:
    """Give an experiment its saved views and a description that links to them.

    `about` holds the experiment's `chromatune.` tags. `searched` are the parameters that a search
    in it varies, empty for other launches. An existing description stays. Called again, it changes
    nothing.
    """
    task, kind, dataset = (about.get(f"{TAG}{key}", "") for key in ("task", "kind", "dataset"))
    present = client.get_experiment(experiment_id).tags
    tags = {
        "mlflow.experimentKind": "custom_model_development",
        "mlflow.experiment.primaryMetric.name": f"val_{CRITERIA[task].name}",
        **view_tags(task, searched),
    }
    if NOTE not in present:
        links = {
            "Cells, best first": experiment_page(experiment_id, CELLS),
            "Charts": experiment_page(experiment_id, CELLS, charts=True),
            "Launches": experiment_page(experiment_id, LAUNCHES),
        }
        # One line: the experiment's page shows no more of it until it is unfolded.
        tags[NOTE] = f"{kind.capitalize()}: {task} on {dataset}. {link_line(links)}"
    for key, value in tags.items():
        if present.get(key) != value:
            client.set_experiment_tag(experiment_id, key, value)


def best_runs(client: MlflowClient, experiment_id: str, task: str) -> list[Run]:
    """The finished cells with the best scores, the best first, at most five."""
    criterion = CRITERIA[task]
    metric = f"metrics.val_{criterion.name}"
    order = "DESC" if criterion.higher_is_better else "ASC"
    # In MLflow no comparison holds for NaN, so the last term excludes it.
    terms = [f"tags.`{TAG}outcome` = 'finished'", f"tags.`{TAG}cell_id` LIKE '%'", f"{metric} > 0"]
    runs: list[Run] = client.search_runs(
        [experiment_id],
        " AND ".join(terms),
        max_results=_COMPARED,
        order_by=[f"{metric} {order}"],
    )
    return runs


def update_best_view(
    client: MlflowClient, experiment_id: str, task: str, runs: Sequence[Run]
) -> None:
    """Update the view that compares `runs`, the best of the experiment."""
    varied = differing([run.data.params for run in runs])
    key, value = best_view_tag(task, [run.info.run_id for run in runs], varied)
    if client.get_experiment(experiment_id).tags.get(key) != value:
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
