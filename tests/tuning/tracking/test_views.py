"""What MLflow's UI is told to show of an experiment, and where a person is led."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs, urlparse

import pytest
from mlflow import MlflowClient
from mlflow.entities import Experiment

from tuning.errors import ChromatuneError
from tuning.tracking.delivery import project_launch
from tuning.tracking.ui.links import experiment_page, version_page
from tuning.tracking.ui.notes import NOTE
from tuning.tracking.ui.pages import find_places

MakeLaunch = Callable[..., Any]
VIEW = "mlflow.sharedViewState."


@pytest.fixture
def grid(make_launch: MakeLaunch, store: str, client: MlflowClient) -> Experiment:
    """The experiment of a finished grid of two colorizers with three cells each."""
    launch = make_launch("colorizer", lrs=[1e-3, 1e-4], epochs=[2, 4, 6])
    launch.finish_all()
    launch.finish_cell("autoencoder-relu-lr0.0001", 4, score=9.0)
    project_launch(launch.storage, store)
    return client.get_experiment_by_name("faces-colorizer-grid")


def cells_view(grid: Experiment) -> dict[str, Any]:
    """The state in the view, as MLflow's UI reads it: an envelope whose `state` is JSON again."""
    envelope = json.loads(grid.tags[f"{VIEW}cells"])
    assert isinstance(envelope["createdAt"], int)
    state: dict[str, Any] = json.loads(envelope["state"])
    return state


def test_the_cells_view_lists_every_cell_and_no_launch_the_best_first(
    grid: Experiment, client: MlflowClient
) -> None:
    state = cells_view(grid)
    # The very query that the UI sends.
    order = f"{state['orderByKey']} {'ASC' if state['orderByAsc'] else 'DESC'}"
    runs = client.search_runs([grid.experiment_id], state["searchFilter"], order_by=[order])
    listed = [run.data.tags.get("chromatune.cell_id", "") for run in runs]
    assert len(listed) == 6
    assert listed[0] == "autoencoder-relu-lr0.0001-e4"  # 20 + 4 epochs + a score of 9
    assert set(listed[1:3]) == {"autoencoder-relu-lr0.001-e6", "autoencoder-relu-lr0.0001-e6"}
    columns = state["selectedColumns"]
    assert {"metrics.`val_psnr`", "metrics.`val_ssim`", "metrics.`test_psnr`"} <= set(columns)
    assert {"params.`head`", "params.`lr`", "params.`epochs`"} <= set(columns)
    assert len(columns) <= 10


def test_every_column_and_chart_names_something_that_runs_have(
    grid: Experiment, client: MlflowClient
) -> None:
    runs = client.search_runs([grid.experiment_id])
    known = {f"metrics.`{name}`" for run in runs for name in run.data.metrics}
    known |= {f"params.`{name}`" for run in runs for name in run.data.params}
    known |= {f"tags.`{name}`" for run in runs for name in run.data.tags}
    known |= {"attributes.`Duration`", "metrics.`test_psnr`"}  # the latter after the gate
    state = cells_view(grid)
    assert set(state["selectedColumns"]) <= known
    for chart in state["compareRunCharts"]:
        assert {f"params.`{name}`" for name in chart.get("selectedParams", [])} <= known
    (images,) = (chart for chart in state["compareRunCharts"] if chart["type"] == "IMAGE")
    run = next(run for run in runs if run.data.tags.get("mlflow.loggedImages"))
    files = [file.path for file in client.list_artifacts(run.info.run_id, "images")]
    name = re.compile(r"images/(.+)\+step\+0\+timestamp\+\d+\+[\w-]+(\+compressed)?\.\w+")
    assert [name.sub(r"\1", file) for file in files] == 2 * images["imageKeys"]


def test_a_description_leads_to_the_view_unless_a_user_wrote_another(
    grid: Experiment, store: str, client: MlflowClient, make_launch: MakeLaunch
) -> None:
    links = re.findall(r"\]\(#([^)]+)\)", grid.tags[NOTE])
    views = [parse_qs(urlparse(link).query)["viewStateShareKey"][0] for link in links]
    assert {f"{VIEW}{name}" for name in views} == {f"{VIEW}cells"} <= set(grid.tags)
    assert "\n" not in grid.tags[NOTE]  # all that the experiment's page shows unasked
    client.set_experiment_tag(grid.experiment_id, NOTE, "Ask Anna.")
    project_launch(make_launch("colorizer", launch_id="again").storage, store)
    assert client.get_experiment(grid.experiment_id).tags[NOTE] == "Ask Anna."


def test_places_are_the_experiment_its_charts_and_the_champion(
    grid: Experiment, store: str, client: MlflowClient
) -> None:
    places = find_places(store)
    assert {name: place.path for name, place in places.items()} == {  # no champion yet
        "experiment": experiment_page(grid.experiment_id, "cells"),
        "charts": experiment_page(grid.experiment_id, "cells", charts=True),
    }
    client.create_registered_model("faces-colorizer")
    client.create_model_version("faces-colorizer", "file:///nowhere")
    client.set_registered_model_alias("faces-colorizer", "champion", "1")
    assert find_places(store)["champion"].path == version_page("faces-colorizer", 1)
    with pytest.raises(ChromatuneError, match=r"gird' in this store; did you mean '.*-grid'"):
        find_places(store, "faces-colorizer-gird")


def test_an_empty_store_has_no_places(store: str) -> None:
    assert find_places(store) == {}
