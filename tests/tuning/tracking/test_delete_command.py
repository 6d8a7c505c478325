"""Launches are deleted with their files, and if wanted with their runs and models in MLflow."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import typer
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from tests.tuning.tracking.conftest import LaunchWriter
from tests.tuning.tracking.reading import all_runs
from tuning.launch.lease import leased
from tuning.tracking.delivery import project_launch

Run = Callable[..., Any]


@pytest.fixture
def tracked(make_launch: Callable[..., LaunchWriter], store: str) -> LaunchWriter:
    """A finished launch of one training that is in MLflow; another beside it."""
    launches = []
    for name in ("grid-kept", "grid-unwanted"):
        launch = make_launch(launch_id=name, epochs=(2,), config={}, tracking_uri=store)
        launch.finish_all()
        project_launch(launch.storage, store)
        launches.append(launch)
    return launches[-1]


def launches_in(client: MlflowClient) -> list[str]:
    return sorted(run.data.tags["chromatune.launch_id"] for run in all_runs(client))


def logged(client: MlflowClient) -> list[Any]:
    experiments = [found.experiment_id for found in client.search_experiments()]
    return [model for one in experiments for model in client.search_logged_models([one])]


def test_the_folder_is_deleted_and_its_runs_stay(
    tracked: LaunchWriter, client: MlflowClient, run: Run
) -> None:
    status, out, _ = run("delete", "grid-unwanted", "--yes")
    assert (status, tracked.folder.exists()) == (0, False)
    assert "deleted grid-unwanted (finished, 1 of 1 cells)" in out
    assert "its runs and models in MLflow stay" in out
    assert launches_in(client) == ["grid-kept"] * 2 + ["grid-unwanted"] * 2
    assert (tracked.folder.parent / "grid-kept" / "launch.json").exists()
    status, _, err = run("delete", "grid-unwanted", "--yes")
    assert status == 2
    assert "no launch 'grid-unwanted'" in err


def test_with_runs_nothing_of_it_is_left_in_mlflow(
    tracked: LaunchWriter, client: MlflowClient, run: Run
) -> None:
    assert len(logged(client)) == 2
    status, out, _ = run("delete", "last", "--yes", "--with-runs")
    assert status == 0
    assert "2 runs and 1 models in MLflow" in out
    assert launches_in(client) == ["grid-kept"] * 2
    assert len(logged(client)) == 1
    assert not tracked.folder.exists()


def test_a_registered_model_is_deleted_only_by_force(
    tracked: LaunchWriter, client: MlflowClient, run: Run
) -> None:
    (model,) = (one for one in logged(client) if one.source_run_id in run_ids(client))
    client.create_registered_model("faces-regression")
    client.create_model_version(
        "faces-regression", model.artifact_location, run_id=model.source_run_id
    )
    status, _, err = run("delete", "grid-unwanted", "--yes", "--with-runs")
    assert status == 2
    assert "models:/faces-regression/1 comes from grid-unwanted" in err
    assert tracked.folder.exists()
    assert len(all_runs(client)) == 4

    status, out, _ = run("delete", "grid-unwanted", "--yes", "--with-runs", "--force")
    assert status == 0
    assert "and the registered models:/faces-regression/1" in out
    assert not tracked.folder.exists()
    with pytest.raises(MlflowException):
        client.get_model_version("faces-regression", "1")


def run_ids(client: MlflowClient) -> set[str]:
    query = "tags.`chromatune.launch_id` = 'grid-unwanted'"
    return {run.info.run_id for run in all_runs(client, query)}


def test_a_running_launch_is_not_deleted(tracked: LaunchWriter, run: Run) -> None:
    with leased(tracked.storage):
        status, _, err = run("delete", "grid-unwanted", "--yes")
    assert status == 2
    assert "is running: stop it with `chromatune stop" in err
    assert (tracked.folder / "launch.json").exists()


def test_it_asks_first(
    make_launch: Callable[..., LaunchWriter], run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    launch = make_launch(launch_id="grid-1", config={})
    status, _, err = run("delete", "grid-1")
    assert (status, "--yes deletes grid-1" in err) == (2, True)
    asked = []
    monkeypatch.setattr(sys, "stdin", type("Terminal", (), {"isatty": lambda _: True})())
    for answer, expected in ((False, 1), (True, 0)):
        assert Path(launch.folder, "launch.json").exists()
        monkeypatch.setattr(
            *(typer, "confirm", lambda text, answer=answer, **_: asked.append(text) or answer)
        )
        assert run("delete", "grid-1")[0] == expected
    assert not launch.folder.exists()
    assert "delete grid-1 (stopped, 0 of 2 cells) in " in asked[0]
