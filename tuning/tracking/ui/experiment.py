"""An experiment as the MLflow UI shows it: its description, its views, the metric that counts."""

from __future__ import annotations

from collections.abc import Sequence

from mlflow import MlflowClient
from mlflow.entities import Run

from tuning.tracking.runs import TAG
from tuning.tracking.ui.links import experiment_page
from tuning.tracking.ui.markdown import markdown_links
from tuning.tracking.ui.views import CELLS, LAUNCHES, best_view_tag, view_tags
from tuning.training.tasks import CRITERIA

NOTE = "mlflow.note.content"
_COMPARED = 5
_KINDS = {
    "grid": "Grids",
    "finals": "The report's single models",
    "finetune": "Fine-tuning",
    "train": "Single trainings",
    "search": "Searches",
}


def dress_experiment(
    client: MlflowClient,
    experiment_id: str,
    task: str,
    kind: str,
    dataset: str,
    searched: Sequence[str] | None = None,
) -> None:
    """Give an experiment its views and a description that leads to them.

    `searched` are the parameters that a launch in it looks for, none if it looks for no others than
    a grid. Without it only what is missing is added. Called again, it changes nothing; a
    description that is there stays, whoever wrote it.
    """
    present = client.get_experiment(experiment_id).tags
    tags = {
        "mlflow.experimentKind": "custom_model_development",
        "mlflow.experiment.primaryMetric.name": f"val_{CRITERIA[task].name}",
        **view_tags(task, searched or ()),
    }
    if searched is None:
        tags = {key: value for key, value in tags.items() if key not in present}
    if NOTE not in present:
        tags[NOTE] = _description(experiment_id, task, kind, dataset)
    for key, value in tags.items():
        if present.get(key) != value:
            client.set_experiment_tag(experiment_id, key, value)


def best_runs(client: MlflowClient, experiment_id: str, task: str) -> list[Run]:
    """The finished cells with the best figures, the best first, at most five."""
    criterion = CRITERIA[task]
    metric = f"metrics.val_{criterion.name}"
    order = "DESC" if criterion.higher_is_better else "ASC"
    # MLflow compares nothing with what is not a number, so the last term leaves it out.
    terms = [f"tags.`{TAG}outcome` = 'finished'", f"tags.`{TAG}cell_id` LIKE '%'", f"{metric} > 0"]
    runs: list[Run] = client.search_runs(
        [experiment_id],
        " AND ".join(terms),
        max_results=_COMPARED,
        order_by=[f"{metric} {order}"],
    )
    return runs


def show_best(client: MlflowClient, experiment_id: str, task: str) -> None:
    """Bring the view of the best cells up to date, if there are two to compare."""
    runs = best_runs(client, experiment_id, task)
    if len(runs) < 2:
        return
    params = [run.data.params for run in runs]
    names = dict.fromkeys(name for one in params for name in sorted(one))
    differing = [name for name in names if len({one.get(name) for one in params}) > 1]
    key, value = best_view_tag(task, [run.info.run_id for run in runs], differing)
    if client.get_experiment(experiment_id).tags.get(key) != value:
        client.set_experiment_tag(experiment_id, key, value)


def _description(experiment_id: str, task: str, kind: str, dataset: str) -> str:
    """One line, since the experiment's page shows no more of it until it is unfolded."""
    links = {
        "Cells, best first": experiment_page(experiment_id, CELLS),
        "Charts": experiment_page(experiment_id, CELLS, charts=True),
        "Launches": experiment_page(experiment_id, LAUNCHES),
    }
    return f"{_KINDS.get(kind, kind)}: {task} on {dataset}. {markdown_links(links)}"
