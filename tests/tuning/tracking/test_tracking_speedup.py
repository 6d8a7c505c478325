"""A comparison of CPU and GPU in MLflow, and how the report finds it again."""

from __future__ import annotations

import math

import pytest
from mlflow import MlflowClient

from data_prep import PreparedDataset, PrepareSettings, prepare
from tuning.tracking.reader import read_store
from tuning.tracking.speedup import SpeedupRun
from tuning.training.speedup import Half, speedup_training

pytestmark = pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy")

CPU, GPU = Half("cpu", "a CPU", (4.0, 2.0)), Half("gpu", "a GPU", (1.0, 0.5))


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> PreparedDataset:
    settings = PrepareSettings(dataset="synthetic-faces", count=20, size=64, augment=1)
    return prepare(settings, tmp_path_factory.mktemp("data")).dataset


def test_both_halves_make_one_run_with_the_factor(
    data: PreparedDataset, store: str, client: MlflowClient
) -> None:
    run = SpeedupRun(store, data, speedup_training(64, epochs=2))
    assert run.factor is None
    run.add(CPU)
    run.add(GPU)
    assert run.factor == pytest.approx(4.0)
    read, _ = read_store(store)
    assert read.launches == ()
    (found,) = read.speedups
    assert (found.cpu_seconds, found.gpu_seconds, found.factor) == (6.0, 1.5, pytest.approx(4.0))
    assert (found.cpu, found.gpu, found.dataset) == ("a CPU", "a GPU", "synthetic-faces")
    assert found.params["epochs"] == "2"
    stored = client.get_run(found.run_id)
    assert stored.info.status == "FINISHED"
    assert stored.data.metrics["speedup"] == pytest.approx(4.0)
    history = client.get_metric_history(found.run_id, "cpu_epoch_seconds")
    assert [(one.step, one.value) for one in history] == [(1, 4.0), (2, 2.0)]
    assert stored.data.tags["chromatune.dataset_digest"] == data.digest


def test_the_cpu_half_alone_is_kept(data: PreparedDataset, store: str) -> None:
    SpeedupRun(store, data, speedup_training(64, epochs=2)).add(CPU)
    (found,) = read_store(store)[0].speedups
    assert found.cpu_seconds == 6.0
    assert math.isnan(found.gpu_seconds)
    assert math.isnan(found.factor)
