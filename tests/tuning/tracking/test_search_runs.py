"""The projection of a search: trials that appear while it runs, and are cut short."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from typing import Any

import pytest
from mlflow import MlflowClient
from mlflow.entities import Run

from tests.tuning.tracking.reading import runs_of, steps, wait_until
from tuning.tracking.delivery import Projection, project_launch
from tuning.tracking.reader import finished_cells

MakeLaunch = Callable[..., Any]
EXPERIMENT = "faces-colorizer-search"


@pytest.fixture
def search(make_launch: MakeLaunch) -> Any:
    """A search of trainings of 6 epochs that has not come to any yet."""
    return make_launch(
        "colorizer",
        launch_id="search-colorizer-faces-1",
        models=[],
        epochs=[6],
        kind="search",
        experiment=EXPERIMENT,
        config={
            "search": {
                "space": {"lr": {"type": "float"}, "loss": {"type": "categorical"}},
                "sampler": "tpe",
                "scheduler": None,
                "num_samples": 3,
            }
        },
    )


def models_of(client: MlflowClient, run: Run) -> list[Any]:
    query = f"source_run_id = '{run.info.run_id}'"
    return list(client.search_logged_models([run.info.experiment_id], query))


def test_a_trial_that_begins_later_gets_its_run(
    search: Any, store: str, client: MlflowClient
) -> None:
    projection = Projection(search.storage, store)
    projection.start()
    trial = search.add_trial("0000-autoencoder-relu", "autoencoder", 3e-4)
    projection.observe(trial, [search.record(1), search.record(2)])
    wait_until(lambda: f"{trial}-e6" in runs_of(client, search))
    cell = search.finish_cell(trial, 6)
    projection.observe(trial, [{**search.record(6), "milestone": cell}])
    projection.training_ended(trial, "finished", "")
    assert projection.close("FINISHED") == []

    runs = runs_of(client, search)
    run = runs[cell]
    assert (run.info.status, run.data.tags["chromatune.outcome"]) == ("FINISHED", "finished")
    assert run.info.run_name == cell
    # What is searched is there even where it is off, so that trials can be compared by it.
    assert {"lr": "0.0003", "loss": "mse"}.items() <= run.data.params.items()
    assert "optimizer" not in run.data.params
    assert len(models_of(client, run)) == 1
    assert runs[""].data.params == {
        "dataset": "faces",
        "task": "colorizer",
        "sampler": "tpe",
        "num_samples": "3",
    }
    tags = client.get_experiment_by_name(EXPERIMENT).tags
    state = json.loads(json.loads(tags["mlflow.sharedViewState.cells"])["state"])
    (parallel,) = (chart for chart in state["compareRunCharts"] if chart["type"] == "PARALLEL")
    assert sorted(parallel["selectedParams"]) == ["loss", "lr"]


def test_a_trial_that_nobody_wrote_down_is_told_once_and_holds_up_no_other(
    search: Any, store: str, client: MlflowClient, caplog: pytest.LogCaptureFixture
) -> None:
    projection = Projection(search.storage, store)
    projection.start()
    with caplog.at_level(logging.WARNING):
        for epoch in (1, 2):
            projection.observe("0007-nobody", [search.record(epoch)])
        trial = search.add_trial("0000-autoencoder-relu", "autoencoder", 3e-4)
        search.finish_cell(trial, 6)
        assert projection.close("FINISHED") == []
    told = "has no training '0007-nobody' in its folder"
    assert len([line for line in caplog.messages if told in line]) == 1
    assert runs_of(client, search)[f"{trial}-e6"].info.status == "FINISHED"


def test_a_pruned_trial_is_finished_and_told_apart(
    search: Any, store: str, client: MlflowClient
) -> None:
    projection = Projection(search.storage, store)
    projection.start()
    pruned = search.add_trial("0000-autoencoder-relu", "autoencoder", 3e-3)
    best = search.add_trial("0001-autoencoder-relu", "autoencoder", 3e-4)
    projection.observe(pruned, [search.record(1), search.record(2)])
    # The cell is cut after the last report, which therefore does not name it.
    search.finish_cell(pruned, 6, trained=2, outcome="pruned")
    search.finish_cell(best, 6, score=1.0, outcome="finished")
    projection.training_ended(pruned, "pruned", "")
    projection.training_ended(best, "finished", "")
    assert projection.close("FINISHED") == []

    runs = runs_of(client, search)
    run = runs[f"{pruned}-e6"]
    assert (run.info.status, run.data.tags["chromatune.outcome"]) == ("FINISHED", "pruned")
    assert "after 2 epochs, pruned before its 6 epochs" in run.data.tags["mlflow.note.content"]
    assert len(models_of(client, run)) == 1
    assert runs[""].info.status == "FINISHED"
    digest = search.document["dataset_digest"]
    assert [cell.cell_id for cell in finished_cells(store, digest, "colorizer")] == [f"{best}-e6"]
    note = runs[""].data.tags["mlflow.note.content"]
    assert f"Best: {best}-e6, " in note
    assert "2 trials: 1 pruned, 1 finished." in note


def test_a_search_with_a_result_is_finished_whatever_became_of_other_trials(
    search: Any, store: str, client: MlflowClient
) -> None:
    diverged = search.add_trial("0000-autoencoder-relu", "autoencoder", 3e-3)
    search.fail(diverged, 2, "loss is nan at epoch 3")
    best = search.add_trial("0001-autoencoder-relu", "autoencoder", 3e-4)
    search.finish_cell(best, 6, outcome="finished")
    project_launch(search.storage, store)
    runs = runs_of(client, search)
    assert runs[f"{diverged}-e6"].info.status == "FAILED"
    assert runs[""].info.status == "FINISHED"


def test_a_stopped_trial_goes_on_in_its_run_and_gets_its_model_when_it_has_ended(
    search: Any, store: str, client: MlflowClient
) -> None:
    trial = search.add_trial("0000-autoencoder-relu", "autoencoder", 3e-4)
    first = Projection(search.storage, store)
    first.start()
    first.observe(trial, [search.record(1), search.record(2)])
    cell = search.finish_cell(trial, 6, trained=2, outcome="stopped")
    assert first.close("KILLED") == []
    before = runs_of(client, search)[cell]
    assert (before.info.status, before.data.tags["chromatune.outcome"]) == ("KILLED", "stopped")
    assert "1 trial: 1 stopped." in runs_of(client, search)[""].data.tags["mlflow.note.content"]
    assert models_of(client, before) == []  # it would be one of a training that goes on
    assert runs_of(client, search)[""].info.status == "KILLED"

    second = Projection(search.storage, store)
    second.start()
    second.observe(trial, [search.record(epoch) for epoch in (3, 4, 5)])
    search.finish_cell(trial, 6, outcome="finished")
    second.observe(trial, [{**search.record(6), "milestone": cell}])
    second.training_ended(trial, "finished", "")
    assert second.close("FINISHED") == []
    after = runs_of(client, search)[cell]
    assert after.info.run_id == before.info.run_id
    assert (after.info.status, after.data.tags["chromatune.outcome"]) == ("FINISHED", "finished")
    assert steps(client, after) == [1, 2, 3, 4, 5, 6]
    assert len(models_of(client, after)) == 1


def test_the_figures_of_a_kept_epoch_are_the_run_s_and_the_model_s(
    make_launch: MakeLaunch, store: str, client: MlflowClient
) -> None:
    launch = make_launch("colorizer", epochs=[6])
    record = launch.record
    # Best at epoch 4, worse ever after.
    scores = {2: 22.0, 4: 30.0, 6: 25.0}

    def with_score(epoch: int, **options: Any) -> dict[str, Any]:
        figures = {"val_psnr": scores[epoch], "val_mse": 1e-3} if epoch in scores else {}
        return {**record(epoch, **options), **figures}

    launch.record = with_score
    cell = launch.finish_cell(launch.training_ids()[0], 6, kept_epoch=4)
    for _ in range(2):
        project_launch(launch.storage, store)
        run = runs_of(client, launch)[cell]
        assert run.data.metrics["val_psnr"] == 30.0
        assert sorted(steps(client, run, "val_psnr")) == [2, 4, 6, 6]
        (model,) = models_of(client, run)
        assert {metric.key: metric.value for metric in model.metrics}["val_psnr"] == 30.0
        assert "at epoch 4, the best of 6" in run.data.tags["mlflow.note.content"]
