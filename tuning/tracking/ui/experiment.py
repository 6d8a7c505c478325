"""An experiment as the MLflow UI shows it: its description, its views, its deciding metric."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from mlflow import MlflowClient
from mlflow.entities import Run

from tuning.tracking.runs import TAG
from tuning.tracking.ui.links import experiment_page
from tuning.tracking.ui.notes import NOTE, link_line
from tuning.tracking.ui.views import CELLS, LAUNCHES, best_view_tag, view_tags
from tuning.training.tasks import CRITERIA

_COMPARED = 5


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
    params = [run.data.params for run in runs]
    names = dict.fromkeys(name for run_params in params for name in sorted(run_params))
    differing = [name for name in names if len({p.get(name) for p in params}) > 1]
    key, value = best_view_tag(task, [run.info.run_id for run in runs], differing)
    if client.get_experiment(experiment_id).tags.get(key) != value:
        client.set_experiment_tag(experiment_id, key, value)
