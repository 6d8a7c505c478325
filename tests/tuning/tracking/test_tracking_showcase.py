"""Test pictures on a run: there after the gate, written once, completed after a failure."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from mlflow import MlflowClient

from data_prep import PreparedDataset, PrepareSettings, prepare
from tuning.errors import ChromatuneError
from tuning.tracking import evaluation as tracking_showcase
from tuning.tracking.projection import project_launch
from tuning.tracking.registry.promotion import promote

pytestmark = [
    pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy"),
    pytest.mark.usefixtures("launch"),
]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> PreparedDataset:
    settings = PrepareSettings(dataset="synthetic-faces", count=30, augment=1)
    return prepare(settings, tmp_path_factory.mktemp("data")).dataset


@pytest.fixture
def launch(make_launch: Callable[..., Any], data: PreparedDataset, store: str) -> Any:
    made = make_launch("regression", epochs=[2], dataset=data.name, digest=data.digest)
    made.finish_all()
    project_launch(made.storage, store)
    return made


def names(client: MlflowClient, run_id: str) -> set[str]:
    return {file.path for file in client.list_artifacts(run_id, "test")}


def test_the_gate_leaves_the_pictures_on_the_run(
    data: PreparedDataset, store: str, client: MlflowClient
) -> None:
    promotion = promote(data, "regression", store)
    sheets = {"samples", "train_samples", "best", "worst", "planes", "copies"}
    expected = {f"test/{name}.png" for name in sheets} | {"test/scores.json"}
    assert names(client, promotion.cell.run_id) == expected


def test_a_dry_run_leaves_nothing(data: PreparedDataset, store: str, client: MlflowClient) -> None:
    promotion = promote(data, "regression", store, dry_run=True)
    assert names(client, promotion.cell.run_id) == set()


def test_they_are_drawn_once(
    data: PreparedDataset, store: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    promote(data, "regression", store)

    def fail(*_: Any) -> None:
        raise AssertionError("drawn again")

    monkeypatch.setattr(tracking_showcase, "write_showcase", fail)
    promote(data, "regression", store)


def test_what_a_failure_has_cut_short_is_completed(
    data: PreparedDataset,
    store: str,
    client: MlflowClient,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    log = MlflowClient.log_artifact

    def broken(self: MlflowClient, run_id: str, path: str, folder: str | None = None) -> None:
        if path.endswith("scores.json"):
            raise ConnectionError("the store is gone")
        log(self, run_id, path, folder)

    monkeypatch.setattr(MlflowClient, "log_artifact", broken)
    with pytest.raises(ChromatuneError, match="to MLflow: the store is gone; run the same"):
        promote(data, "regression", store)
    monkeypatch.undo()
    promotion = promote(data, "regression", store)
    assert "test/scores.json" in names(client, promotion.cell.run_id)
