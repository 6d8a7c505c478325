"""What MLflow's UI is told to show of an experiment, and where a person is led."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs, urlparse

import pytest
from mlflow import MlflowClient

from tuning.errors import ChromatuneError
from tuning.tracking.projection import project_launch
from tuning.tracking.ui.links import comparison_page, experiment_page, version_page
from tuning.tracking.ui.notes import NOTE
from tuning.tracking.ui.pages import find_places

pytestmark = pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy")

MakeLaunch = Callable[..., Any]
VIEW = "mlflow.sharedViewState."


@pytest.fixture
def grid(make_launch: MakeLaunch, store: str) -> Any:
    """A finished grid of two colorizers with three cells each."""
    launch = make_launch("colorizer", lrs=[1e-3, 1e-4], epochs=[2, 4, 6])
    launch.finish_all()
    launch.finish_cell("autoencoder-relu-lr0.0001", 4, score=9.0)
    project_launch(launch.storage, store)
    return launch


def tags_of(client: MlflowClient, name: str = "faces-colorizer-grid") -> dict[str, str]:
    tags: dict[str, str] = client.get_experiment_by_name(name).tags
    return tags


def view(client: MlflowClient, name: str) -> dict[str, Any]:
    """The state in a view, as MLflow's UI reads it: an envelope whose `state` is JSON again."""
    envelope = json.loads(tags_of(client)[f"{VIEW}{name}"])
    assert isinstance(envelope["createdAt"], int)
    state: dict[str, Any] = json.loads(envelope["state"])
    return state


def cell_ids(client: MlflowClient, state: dict[str, Any]) -> list[str]:
    """Cells that a view lists, in its order: the very query that the UI sends."""
    order = f"{state['orderByKey']} {'ASC' if state['orderByAsc'] else 'DESC'}"
    experiment = client.get_experiment_by_name("faces-colorizer-grid").experiment_id
    runs = client.search_runs([experiment], state["searchFilter"], order_by=[order])
    return [run.data.tags.get("chromatune.cell_id", "") for run in runs]


@pytest.mark.usefixtures("grid")
def test_the_cells_view_lists_every_cell_and_no_launch_the_best_first(
    client: MlflowClient,
) -> None:
    state = view(client, "cells")
    listed = cell_ids(client, state)
    assert len(listed) == 6
    assert listed[0] == "autoencoder-relu-lr0.0001-e4"  # 20 + 4 epochs + a score of 9
    assert set(listed[1:3]) == {"autoencoder-relu-lr0.001-e6", "autoencoder-relu-lr0.0001-e6"}
    columns = state["selectedColumns"]
    assert {"metrics.`val_psnr`", "metrics.`val_ssim`", "metrics.`test_psnr`"} <= set(columns)
    assert {"params.`head`", "params.`lr`", "params.`epochs`"} <= set(columns)
    assert len(columns) <= 10


@pytest.mark.usefixtures("grid")
def test_every_column_and_chart_names_something_that_runs_have(client: MlflowClient) -> None:
    experiment = client.get_experiment_by_name("faces-colorizer-grid").experiment_id
    runs = client.search_runs([experiment])
    known = {f"metrics.`{name}`" for run in runs for name in run.data.metrics}
    known |= {f"params.`{name}`" for run in runs for name in run.data.params}
    known |= {f"tags.`{name}`" for run in runs for name in run.data.tags}
    known |= {f"attributes.`{name}`" for name in ("Duration", "Description")}
    known |= {"metrics.`test_psnr`"}  # there after the gate
    for name in ("cells", "launches", "best"):
        state = view(client, name)
        assert set(state["selectedColumns"]) <= known
        sections = {section["uuid"] for section in state.get("compareRunSections", [])}
        for chart in state.get("compareRunCharts", []):
            assert chart["metricSectionId"] in sections
            assert {f"params.`{one}`" for one in chart.get("selectedParams", [])} <= known
    (images,) = (c for c in view(client, "cells")["compareRunCharts"] if c["type"] == "IMAGE")
    best = next(run for run in runs if run.data.tags.get("mlflow.loggedImages"))
    files = [file.path for file in client.list_artifacts(best.info.run_id, "images")]
    assert len(files) == 2
    for file in files:
        key = re.fullmatch(
            r"images/(.+)\+step\+0\+timestamp\+\d+\+[\w-]+(\+compressed)?\.\w+", file
        )
        assert key is not None
        assert key[1] in images["imageKeys"]


@pytest.mark.usefixtures("grid")
def test_the_best_view_holds_the_five_best_cells(client: MlflowClient) -> None:
    state = view(client, "best")
    every_cell = cell_ids(client, view(client, "cells"))
    assert cell_ids(client, state) == every_cell[:5]
    (parallel,) = (c for c in state["compareRunCharts"] if c["type"] == "PARALLEL")
    assert sorted(parallel["selectedParams"]) == ["epochs", "lr"]  # the others are the same for all


@pytest.mark.usefixtures("grid")
def test_descriptions_lead_to_the_views(client: MlflowClient) -> None:
    tags = tags_of(client)
    links = re.findall(r"\]\(#([^)]+)\)", tags[NOTE])
    views = [parse_qs(urlparse(link).query)["viewStateShareKey"][0] for link in links]
    assert {f"{VIEW}{name}" for name in views} <= set(tags)
    assert "\n" not in tags[NOTE]  # all that the experiment's page shows unasked


def test_what_a_user_wrote_of_an_experiment_stays(
    grid: Any, store: str, client: MlflowClient, make_launch: MakeLaunch
) -> None:
    experiment = client.get_experiment_by_name("faces-colorizer-grid").experiment_id
    client.set_experiment_tag(experiment, NOTE, "Ask Anna.")
    again = make_launch("colorizer", launch_id=f"{grid.document['launch_id']}-again")
    again.finish_all()
    project_launch(again.storage, store)
    assert tags_of(client)[NOTE] == "Ask Anna."


@pytest.mark.usefixtures("grid")
def test_places_are_the_experiment_its_best_and_the_champion(
    store: str, client: MlflowClient
) -> None:
    places = find_places(store)
    assert list(places) == ["experiment", "comparison"]  # no champion yet
    experiment = client.get_experiment_by_name("faces-colorizer-grid").experiment_id
    assert places["experiment"].path == experiment_page(experiment, "cells")
    assert places["comparison"].path == experiment_page(experiment, "best", charts=True)
    assert places["comparison"].title == "best 5"

    client.create_registered_model("faces-colorizer")
    client.create_model_version("faces-colorizer", "file:///nowhere")
    client.set_registered_model_alias("faces-colorizer", "champion", "1")
    assert find_places(store)["champion"].path == version_page("faces-colorizer", 1)


@pytest.mark.usefixtures("grid")
def test_an_experiment_that_is_not_there_is_named_with_the_nearest(store: str) -> None:
    with pytest.raises(
        ChromatuneError, match=r"no experiment 'faces-colorizer-gird' in this store"
    ):
        find_places(store, "faces-colorizer-gird")
    assert find_places(store, "faces-colorizer-grid")


def test_an_empty_store_has_no_places(store: str) -> None:
    assert find_places(store) == {}


def test_links_survive_markdown_and_say_which_view_of_mlflow_they_mean() -> None:
    link = comparison_page("3", ["a1", "b2"])
    assert not set(link) & set(' "[]()')
    query = parse_qs(link.partition("?")[2])
    assert json.loads(query["runs"][0]) == ["a1", "b2"]
    assert json.loads(query["experiments"][0]) == ["3"]
    assert query["workflowType"] == ["machine_learning"]
