"""The doctor on launches that did not simply finish: pruned, diverged, or over too early."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from mlflow import MlflowClient

from tuning.config.schema import LaunchConfig
from tuning.search.budget import Allowance, Budget
from tuning.workflows import doctor
from tuning.workflows.doctor import Finding, examine

pytestmark = pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy")

MakeLaunch = Callable[..., Any]


@pytest.fixture(autouse=True)
def enough_space(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor.shutil, "disk_usage", lambda _: SimpleNamespace(free=2**40))


@pytest.fixture
def search(make_launch: MakeLaunch, store: str) -> Any:
    """A search of trainings of 6 epochs, of which two have begun."""
    space = {"lr": {"type": "float"}, "loss": {"type": "categorical"}}
    search = {"space": space, "sampler": "tpe", "scheduler": None, "num_samples": 3}
    launch = make_launch(
        kind="search",
        models=[],
        epochs=[6],
        config={**LaunchConfig().model_dump(mode="json"), "search": search},
        tracking_uri=store,
    )
    launch.add_trial("0000-cnn1", "cnn1", 1e-3)
    launch.add_trial("0001-cnn1", "cnn1", 1e-4)
    Budget(launch.storage).allow(Allowance(3, cpu_hours=1.0))
    return launch


def found(folder: Path, store: str) -> list[Finding]:
    return list(examine(str(folder), store))


def outcomes(client: MlflowClient) -> dict[str, str]:
    experiments = [one.experiment_id for one in client.search_experiments()]
    tags = [run.data.tags for run in client.search_runs(experiments)]
    cells = [one for one in tags if "chromatune.cell_id" in one]
    return {one["chromatune.cell_id"]: one["chromatune.outcome"] for one in cells}


def test_a_diverged_training_that_mlflow_lacks_is_written(
    make_launch: MakeLaunch, store: str, client: MlflowClient
) -> None:
    config = LaunchConfig().model_dump(mode="json")
    launch = make_launch(config=config, tracking_uri=store, epochs=[2, 4, 6])
    (training,) = launch.training_ids()
    launch.finish_cell(training, 2)
    launch.fail(training, 3, "the loss is nan")
    (told,) = found(launch.folder.parent, store)
    assert told.what == f"2 ended cells not in MLflow: {training}-e2, {training}-e4"
    assert told.mended
    assert outcomes(client) == {f"{training}-e2": "finished", f"{training}-e4": "diverged"}
    assert found(launch.folder.parent, store) == []


def test_a_pruned_trial_that_mlflow_lacks_is_written(
    search: Any, store: str, client: MlflowClient
) -> None:
    search.finish_cell("0000-cnn1", 6)
    search.finish_cell("0001-cnn1", 6, trained=3, outcome="pruned")
    Budget(search.storage).ended(is_over=True)
    (told,) = found(search.folder.parent, store)
    assert told.what == "2 ended cells not in MLflow: 0000-cnn1-e6, 0001-cnn1-e6"
    assert outcomes(client) == {"0000-cnn1-e6": "finished", "0001-cnn1-e6": "pruned"}
    assert found(search.folder.parent, store) == []


def test_a_search_that_was_killed_between_two_trials_has_not_ended(search: Any, store: str) -> None:
    for name in search.training_ids():
        search.finish_cell(name, 6)
    found(search.folder.parent, store)
    (told,) = found(search.folder.parent, store)
    assert told.what == "the search has not ended: 2 of 3 trials have begun"
    assert told.remedy.startswith("go on with `chromatune resume ")


def test_a_search_that_was_killed_after_its_last_trial_has_not_been_concluded(
    search: Any, store: str
) -> None:
    search.add_trial("0002-cnn1", "cnn1", 1e-5)
    for name in search.training_ids():
        search.finish_cell(name, 6)
    found(search.folder.parent, store)
    (told,) = found(search.folder.parent, store)
    assert told.what == "the search has not been concluded: 3 of 3 trials have ended"
    assert told.remedy.startswith("go on with `chromatune resume ")


def test_a_search_that_is_over_or_out_of_its_hours_has_ended_as_meant(
    search: Any, store: str
) -> None:
    for name in search.training_ids():
        search.finish_cell(name, 6)
    found(search.folder.parent, store)
    Budget(search.storage).ended(is_over=True)
    assert found(search.folder.parent, store) == []
    Budget(search.storage).allow(Allowance(1, cpu_hours=0.0))
    assert found(search.folder.parent, store) == []
    Budget(search.storage).allow(Allowance(1, cpu_hours=1.0))
    (told,) = found(search.folder.parent, store)
    assert told.what == "the search has not ended: 2 of 5 trials have begun"
