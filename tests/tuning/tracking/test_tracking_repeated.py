"""Runs that the server made and the client, having had no answer, made once more."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from mlflow import MlflowClient
from mlflow.entities import Run

from tuning.config.schema import LaunchConfig
from tuning.tracking.plan import LaunchPlan
from tuning.tracking.projection import Projection, project_launch
from tuning.tracking.projector import Projector
from tuning.tracking.runs import TAG
from tuning.workflows.doctor import examine

pytestmark = pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy")

CELL = "cnn1-relu-lr0.001-e2"


@pytest.fixture
def launch(make_launch: Callable[..., Any], store: str) -> Any:
    config = LaunchConfig().model_dump(mode="json")
    return make_launch(config=config, tracking_uri=store, epochs=[2])


@pytest.fixture
def repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every run is made twice, and only the second time is answered."""
    create_run = MlflowClient.create_run

    def twice(client: MlflowClient, *args: Any, **options: Any) -> Run:
        create_run(client, *args, **options)
        return create_run(client, *args, **options)

    monkeypatch.setattr(MlflowClient, "create_run", twice)


def runs(client: MlflowClient) -> dict[str, list[tuple[str, str]]]:
    """Status and outcome of each cell's runs; the parent's key is empty."""
    found: dict[str, list[tuple[str, str]]] = {}
    for run in client.search_runs([one.experiment_id for one in client.search_experiments()]):
        told = (run.info.status, run.data.tags[f"{TAG}outcome"])
        found.setdefault(run.data.tags.get(f"{TAG}cell_id", ""), []).append(told)
    return {key: sorted(told) for key, told in found.items()}


ONE_COUNTS = [("FINISHED", "finished"), ("KILLED", "stopped")]


@pytest.mark.usefixtures("repeated")
def test_a_launch_that_ends_leaves_none_of_them_running(
    launch: Any, store: str, client: MlflowClient
) -> None:
    projection = Projection(launch.storage, store)
    projection.start()
    launch.finish_all()
    assert projection.close("FINISHED") == []
    assert runs(client) == {"": ONE_COUNTS, CELL: ONE_COUNTS}


@pytest.mark.usefixtures("repeated")
def test_the_folder_is_written_to_one_of_them_and_once(
    launch: Any, store: str, client: MlflowClient
) -> None:
    launch.finish_all()
    for _ in range(2):
        project_launch(launch.storage, store)
        assert runs(client) == {"": ONE_COUNTS, CELL: ONE_COUNTS}


def test_the_doctor_ends_them_once(launch: Any, store: str, client: MlflowClient) -> None:
    launch.finish_all()
    project_launch(launch.storage, store)
    for run in client.search_runs([one.experiment_id for one in client.search_experiments()]):
        # Some older and some younger than the one that counts, as ids fall.
        for _ in range(4):
            tags = {**run.data.tags, f"{TAG}outcome": "running"}
            client.create_run(run.info.experiment_id, run.info.start_time, tags)
    (told,) = examine(str(launch.folder.parent), store)
    assert told.status == "fixed"
    assert told.problem.startswith("8 runs RUNNING")
    one_counts = [("FINISHED", "finished"), *4 * [("KILLED", "stopped")]]
    assert runs(client) == {"": one_counts, CELL: one_counts}
    assert list(examine(str(launch.folder.parent), store)) == []


@pytest.mark.usefixtures("repeated")
def test_a_resumed_launch_goes_on_in_the_one_that_has_its_epochs(
    launch: Any, store: str, client: MlflowClient
) -> None:
    (training_id,) = launch.training_ids()
    first = Projector(LaunchPlan(launch.storage), store)
    first.observe(training_id, [launch.record(1)])
    first.deliver(training_id)
    second = Projector(LaunchPlan(launch.storage), store)
    second.observe(training_id, [launch.record(2)])
    second.deliver(training_id)
    found = client.search_runs([one.experiment_id for one in client.search_experiments()])
    cells = [run for run in found if f"{TAG}cell_id" in run.data.tags]
    steps = [
        [metric.step for metric in client.get_metric_history(run.info.run_id, "train_loss")]
        for run in cells
    ]
    assert sorted(steps) == [[], [1, 2]]
