"""The promotion gate: who is measured, who wins, what is written down."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from data_prep import PreparedDataset, PrepareSettings, prepare
from tuning.display.table import escape_markdown
from tuning.errors import ChromatuneError
from tuning.tracking.projection import project_launch
from tuning.tracking.reader import finished_cells
from tuning.tracking.records import StoredCell
from tuning.tracking.registry.catalog import champion_uri, find_champion, pinned
from tuning.tracking.registry.promotion import best_cell, promote
from tuning.tracking.weights import load_logged_weights

pytestmark = pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy")

MakeLaunch = Callable[..., Any]
NAME = "synthetic-faces-regression"


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> PreparedDataset:
    settings = PrepareSettings(dataset="synthetic-faces", count=30, augment=1)
    return prepare(settings, tmp_path_factory.mktemp("data")).dataset


@pytest.fixture(scope="module")
def other_data(tmp_path_factory: pytest.TempPathFactory) -> PreparedDataset:
    """The same pictures, split otherwise."""
    settings = PrepareSettings(dataset="synthetic-faces", count=30, augment=1, seed=1)
    return prepare(settings, tmp_path_factory.mktemp("data")).dataset


@pytest.fixture
def add_cell(make_launch: MakeLaunch, store: str) -> Callable[..., StoredCell]:
    """Track one cell whose model is `off` from the test set's true mean; val says `score`."""

    def add(
        launch_id: str,
        data: PreparedDataset,
        *,
        off: float,
        score: float,
        task: str = "regression",
        **document: Any,
    ) -> StoredCell:
        launch = make_launch(
            task,
            launch_id=launch_id,
            epochs=[2],
            dataset=data.name,
            digest=data.digest,
            **document,
        )
        test = data.planes("test")
        paints = (float(test.a.mean() / 255) + off, float(test.b.mean() / 255) + off)
        launch.finish_cell(launch.training_ids()[0], 2, score=score, paints=paints)
        project_launch(launch.storage, store)
        cells = finished_cells(store, data.digest, task)
        return next(cell for cell in cells if cell.launch_id == launch_id)

    return add


AddCell = Callable[..., StoredCell]


def mse_by_hand(data: PreparedDataset, off: float) -> float:
    """Test MSE of predicting the test set's mean plus `off`, calculated by hand."""
    test = data.planes("test")
    a, b = (plane.mean(axis=(1, 2)) / 255 for plane in (test.a, test.b))
    return float(np.mean([(a - a.mean() - off) ** 2, (b - b.mean() - off) ** 2]))


def test_the_best_by_val_is_measured_registered_and_crowned(
    add_cell: AddCell, data: PreparedDataset, store: str, client: MlflowClient
) -> None:
    add_cell("worse", data, off=0.0, score=1.0)
    best = add_cell("best", data, off=0.02, score=2.0)
    result = promote(data, "regression", store)

    assert result.cell.run_id == best.run_id
    assert (result.name, result.version, result.moved) == (NAME, 1, True)
    assert result.test_metrics["test_mse"] == pytest.approx(mse_by_hand(data, 0.02), rel=1e-4)
    assert result.champion is None
    train = data.planes("train")
    constant = [float(plane.mean() / 255) for plane in (train.a, train.b)]
    test = data.planes("test")
    by_hand = np.mean(
        [
            (plane.mean(axis=(1, 2)) / 255 - value) ** 2
            for plane, value in zip((test.a, test.b), constant, strict=True)
        ]
    )
    assert result.constant_metrics["test_mse"] == pytest.approx(by_hand, rel=1e-4)

    champion = client.get_model_version_by_alias(NAME, "champion")
    assert champion.run_id == best.run_id
    assert champion.source == client.get_logged_model(best.model_id).artifact_location
    assert champion.tags["chromatune.launch_id"] == "best"
    assert champion.tags["chromatune.test_mse"] == f"{result.test_metrics['test_mse']:.2e}".replace(
        "e-0", "e-"
    )
    assert len(champion.tags) <= 6  # MLflow's list of versions shows them all
    found = find_champion(store, data.name, "regression")
    assert found is not None
    measured = found.measured
    assert measured.test_metrics == result.test_metrics  # to the last digit
    assert measured.val_metrics["val_mse"] == best.metrics["val_mse"]
    assert measured.constant_metrics == result.constant_metrics
    assert measured.dataset_digest == data.digest
    assert (measured.decision, measured.rival) == (result.decision, "")
    run = client.get_run(best.run_id)
    assert run.data.metrics["test_mse"] == result.test_metrics["test_mse"]
    assert run.info.status == "FINISHED"
    assert len(client.get_metric_history(best.run_id, "test_mse")) == 1
    # MLflow draws what has no other step than 0 as bars.
    assert client.get_metric_history(best.run_id, "test_mse")[0].step == 0
    model = client.get_logged_model(best.model_id)
    assert {m.key: m.value for m in model.metrics}["test_mse"] == result.test_metrics["test_mse"]
    assert load_logged_weights(champion_uri(data.name, "regression"), store).is_file()


def test_a_better_one_displaces_the_champion_which_stays_as_previous(
    add_cell: AddCell, data: PreparedDataset, store: str, client: MlflowClient
) -> None:
    add_cell("first", data, off=0.05, score=1.0)
    promote(data, "regression", store)
    add_cell("second", data, off=0.01, score=2.0)
    result = promote(data, "regression", store)
    assert result.moved
    assert result.version == 2
    assert result.champion is not None
    assert result.champion.version == 1
    assert result.champion_metrics["test_mse"] == pytest.approx(mse_by_hand(data, 0.05), rel=1e-4)
    assert "beats champion version 1" in result.decision
    assert aliases(client) == {"champion": 2, "previous": 1}
    second = find_champion(store, data.name, "regression")
    assert second is not None
    assert second.measured.rival == "champion version 1"
    assert second.measured.rival_metrics == result.champion_metrics


def test_descriptions_tell_scores_decision_and_origin(
    add_cell: AddCell, data: PreparedDataset, store: str, client: MlflowClient
) -> None:
    first = add_cell("first", data, off=0.05, score=1.0)
    promote(data, "regression", store)
    second = add_cell("second", data, off=0.01, score=2.0, parent_model=f"models:/{NAME}/1")
    result = promote(data, "regression", store)

    told = client.get_model_version(NAME, "2").description
    assert told.startswith(f"{second.name} becomes champion: test_mse ")
    assert "| **this model, test**&emsp;|" in told
    assert "| **champion version 1, test**&emsp;|" in told
    assert "| **constant predictor, test**&emsp;|" in told
    assert "\n|---|---:|---:|---:|\n" in told  # a padded rule would make it no table
    assert f"runs/{second.run_id}?" in told
    parent = client.get_run(second.run_id).data.tags["mlflow.parentRunId"]
    assert f"[second](#/experiments/{second.experiment_id}/runs/{parent}?" in told
    assert f"[{NAME} version 1](#/models/{NAME}/versions/1?" in told
    assert second.name == "cnn1 lr=1e-3 epochs=2 fine-tuned"
    tags = client.get_model_version(NAME, "2").tags
    assert tags["chromatune.parent_model"] == f"models:/{NAME}/1"

    about = client.get_registered_model(NAME).description
    assert "each measured once on its test set" in about
    newest, oldest = (line for line in about.splitlines() if f"(#/models/{NAME}/versions/" in line)
    assert "**champion**" in newest
    assert escape_markdown(result.decision) in newest
    assert "**previous**" in oldest
    assert f"test\\_mse {mse_by_hand(data, 0.05):.2e}"[:-3] in oldest
    assert first.run_id != second.run_id


def test_a_description_that_somebody_wrote_stays(
    add_cell: AddCell, data: PreparedDataset, store: str, client: MlflowClient
) -> None:
    add_cell("first", data, off=0.05, score=1.0)
    promote(data, "regression", store)
    client.update_registered_model(NAME, "Ours. Ask Anna.")
    add_cell("second", data, off=0.01, score=2.0)
    promote(data, "regression", store)
    assert client.get_registered_model(NAME).description == "Ours. Ask Anna."


@pytest.mark.parametrize(
    ("off", "force", "moved", "decision"),
    [
        (0.05, False, False, "does not become champion: .* does not beat champion version 1"),
        (0.01, False, False, "does not become champion: .* does not beat champion version 1"),
        (0.05, True, True, "becomes champion by force, though .* does not beat"),
    ],
    ids=["worse", "equal", "forced"],
)
def test_one_that_does_not_win_is_registered_and_crowned_only_by_force(
    off: float,
    force: bool,
    moved: bool,
    decision: str,
    add_cell: AddCell,
    data: PreparedDataset,
    store: str,
    client: MlflowClient,
) -> None:
    add_cell("first", data, off=0.01, score=1.0)
    promote(data, "regression", store)
    add_cell("looks-better-on-val", data, off=off, score=2.0)
    result = promote(data, "regression", store, force=force)
    assert (result.moved, result.version) == (moved, 2)
    assert re.match(decision, result.decision)
    assert aliases(client) == ({"champion": 2, "previous": 1} if moved else {"champion": 1})
    assert client.get_model_version(NAME, "2").tags["chromatune.decision"] == result.decision


def test_a_dry_run_tells_the_same_and_writes_nothing(
    add_cell: AddCell, data: PreparedDataset, store: str, client: MlflowClient
) -> None:
    cell = add_cell("first", data, off=0.01, score=1.0)
    told = promote(data, "regression", store, dry_run=True)
    assert told.version is None
    assert not told.moved
    assert told.decision.startswith("dry run: becomes the first champion")
    assert client.search_registered_models() == []
    assert "test_mse" not in client.get_run(cell.run_id).data.metrics
    assert pictures(client, cell) == set()
    done = promote(data, "regression", store)
    assert done.test_metrics == told.test_metrics


def test_the_same_run_twice_makes_no_second_version_and_is_measured_once(
    add_cell: AddCell,
    data: PreparedDataset,
    store: str,
    client: MlflowClient,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    cell = add_cell("first", data, off=0.01, score=1.0)
    first = promote(data, "regression", store)

    def measure(*_: Any, **__: Any) -> None:
        pytest.fail("the test set was touched again")

    monkeypatch.setattr("tuning.tracking.evaluation.evaluate", measure)
    monkeypatch.setattr("tuning.tracking.evaluation.write_showcase", measure)
    second = promote(data, "regression", store, force=True)
    assert (second.version, second.moved) == (1, False)
    assert "is already champion (" in second.decision
    assert second.test_metrics == first.test_metrics
    assert len(client.search_model_versions(f"name = '{NAME}'")) == 1
    assert len(client.get_metric_history(cell.run_id, "test_mse")) == 1
    tags = client.get_model_version(NAME, "1").tags
    assert tags["chromatune.decision"] == first.decision


def test_a_champion_of_other_data_is_measured_on_this(
    add_cell: AddCell, data: PreparedDataset, other_data: PreparedDataset, store: str
) -> None:
    assert data.digest != other_data.digest
    old = add_cell("old", data, off=0.05, score=1.0)
    promote(data, "regression", store)
    add_cell("new", other_data, off=0.0, score=1.0)
    result = promote(other_data, "regression", store)
    assert result.champion is not None
    assert result.champion.run_id == old.run_id
    assert (
        "champion version 1 was measured on another dataset and is measured again"
        in result.decision
    )
    predicted = [
        data.planes("test").a.mean() / 255 + 0.05,
        data.planes("test").b.mean() / 255 + 0.05,
    ]
    test = other_data.planes("test")
    by_hand = np.mean(
        [
            (plane.mean(axis=(1, 2)) / 255 - value) ** 2
            for plane, value in zip((test.a, test.b), predicted, strict=True)
        ]
    )
    assert result.champion_metrics["test_mse"] == pytest.approx(by_hand, rel=1e-4)
    assert result.moved


def test_a_champion_that_cannot_be_measured_is_only_displaced_by_force(
    add_cell: AddCell,
    data: PreparedDataset,
    other_data: PreparedDataset,
    store: str,
    client: MlflowClient,
) -> None:
    old = add_cell("old", data, off=0.05, score=1.0)
    promote(data, "regression", store)
    location = client.get_logged_model(old.model_id).artifact_location.removeprefix("file://")
    (Path(location) / "artifacts" / "model.safetensors").unlink()
    add_cell("new", other_data, off=0.0, score=1.0)
    result = promote(other_data, "regression", store)
    assert not result.moved
    assert "cannot be measured on this one" in result.decision
    assert result.champion_metrics == {}
    assert promote(other_data, "regression", store, force=True).moved


def test_colorizers_win_by_a_higher_psnr(
    add_cell: AddCell, data: PreparedDataset, store: str
) -> None:
    add_cell("first", data, off=0.05, score=1.0, task="colorizer")
    promote(data, "colorizer", store)
    add_cell("second", data, off=0.0, score=2.0, task="colorizer")
    result = promote(data, "colorizer", store)
    assert result.metric == "test_psnr"
    assert result.test_metrics["test_psnr"] > result.champion_metrics["test_psnr"]
    assert result.moved
    test = data.planes("test")
    errors = [np.square(plane / 255 - plane.mean() / 255).mean() for plane in (test.a, test.b)]
    assert result.test_metrics["test_psnr"] == pytest.approx(
        -10 * np.log10(np.mean(errors)), abs=1e-3
    )


def test_there_is_a_champion_at_every_moment(
    add_cell: AddCell,
    data: PreparedDataset,
    store: str,
    client: MlflowClient,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    add_cell("first", data, off=0.05, score=1.0)
    promote(data, "regression", store)
    add_cell("second", data, off=0.01, score=2.0)
    original = MlflowClient.set_registered_model_alias

    def crash(self: MlflowClient, name: str, alias: str, version: str) -> None:
        if alias == "champion":
            raise MlflowException("the connection broke")
        original(self, name, alias, version)

    with monkeypatch.context() as crashing:
        crashing.setattr(MlflowClient, "set_registered_model_alias", crash)
        with pytest.raises(ChromatuneError, match=r"was not completed.*run the same command again"):
            promote(data, "regression", store)
    assert aliases(client)["champion"] == 1
    result = promote(data, "regression", store)
    assert (result.moved, result.version) == (True, 2)
    assert aliases(client) == {"champion": 2, "previous": 1}


def test_a_named_run_is_promoted_even_if_another_is_better_on_val(
    add_cell: AddCell, data: PreparedDataset, store: str
) -> None:
    named = add_cell("named", data, off=0.01, score=1.0)
    add_cell("better", data, off=0.0, score=2.0)
    assert promote(data, "regression", store, run_id=named.run_id).cell.run_id == named.run_id
    with pytest.raises(ChromatuneError, match="run 'nobody' cannot be promoted"):
        promote(data, "regression", store, run_id="nobody")


def test_nothing_to_promote_names_the_command_that_makes_something(
    add_cell: AddCell, data: PreparedDataset, other_data: PreparedDataset, store: str
) -> None:
    add_cell("on-other-data", other_data, off=0.0, score=1.0)
    with pytest.raises(
        ChromatuneError, match="`chromatune grid regression --dataset synthetic-faces`"
    ):
        promote(data, "regression", store)


def test_only_whole_finite_finished_cells_of_this_kind_count(
    make_launch: MakeLaunch, store: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tuning.tracking.store._RUNS_PER_PAGE", 2)
    launch = make_launch(models=["cnn1", "cnn2"], epochs=[2, 4, 6])
    launch.finish_all()
    launch.finish_cell("cnn1-relu-lr0.001", 4, score=float("nan"))
    (launch.folder / "cnn2-relu-lr0.001/cells/cnn2-relu-lr0.001-e6/cell.json").unlink()
    launch.fail("cnn2-relu-lr0.001", 5, "diverged")
    project_launch(launch.storage, store)
    digest = launch.document["dataset_digest"]
    found = finished_cells(store, digest, "regression", "grid")
    assert sorted(cell.cell_id for cell in found) == [
        "cnn1-relu-lr0.001-e2",
        "cnn1-relu-lr0.001-e6",
        "cnn2-relu-lr0.001-e2",
        "cnn2-relu-lr0.001-e4",
    ]
    best = best_cell(store, digest, "regression")
    assert best is not None
    assert best.cell_id == "cnn1-relu-lr0.001-e6"
    assert best.params["epochs"] == "6"
    assert finished_cells(store, digest, "regression", "finals") == []
    assert finished_cells(store, "another", "regression") == []
    assert best_cell(store, digest, "colorizer") is None


def test_the_test_pictures_are_completed_after_a_failure(
    add_cell: AddCell,
    data: PreparedDataset,
    store: str,
    client: MlflowClient,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    cell = add_cell("first", data, off=0.01, score=1.0)
    log = MlflowClient.log_artifact

    def broken(self: MlflowClient, run_id: str, path: str, folder: str | None = None) -> None:
        if path.endswith("scores.json"):
            raise ConnectionError("the store is gone")
        log(self, run_id, path, folder)

    with monkeypatch.context() as failing:
        failing.setattr(MlflowClient, "log_artifact", broken)
        with pytest.raises(ChromatuneError, match="to MLflow: the store is gone; run the same"):
            promote(data, "regression", store)
    promote(data, "regression", store)
    sheets = {"samples", "train_samples", "best", "worst", "planes", "copies"}
    assert pictures(client, cell) == {f"test/{name}.png" for name in sheets} | {"test/scores.json"}


def aliases(client: MlflowClient) -> dict[str, int]:
    found = client.get_registered_model(NAME).aliases
    return {alias: int(version) for alias, version in found.items()}


def test_an_alias_is_pinned_to_the_version_that_has_it_now(
    add_cell: AddCell, data: PreparedDataset, store: str
) -> None:
    add_cell("first", data, off=0.01, score=1.0)
    promote(data, "regression", store)
    assert pinned(champion_uri(data.name, "regression"), store) == f"models:/{NAME}/1"
    assert pinned(f"models:/{NAME}/7", store) == f"models:/{NAME}/7"
    with pytest.raises(ChromatuneError, match="chromatune promote colorizer --dataset"):
        pinned(champion_uri(data.name, "colorizer"), store)


def pictures(client: MlflowClient, cell: StoredCell) -> set[str]:
    return {file.path for file in client.list_artifacts(cell.run_id, "test")}
