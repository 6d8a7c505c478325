"""What tracking a report costs the driver: Ray's stock MLflow callback compared with ours.

    python -m benchmarks.tracking_cost

Both get the same reports of 12 metrics, one after another, as the driver's loop hands them over.
Measured is the time that this loop waits. Ours also counts the processor time of the thread that
writes to MLflow, until everything is delivered.
"""

from __future__ import annotations

import argparse
import dataclasses
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from tuning.utils import environment

environment.set_defaults()

from mlflow import MlflowClient  # noqa: E402
from ray.air.integrations.mlflow import MLflowLoggerCallback  # noqa: E402

from benchmarks.harness import Measurement, repeat, write  # noqa: E402
from data_prep import PrepareSettings, prepare  # noqa: E402
from tuning.config.schema import REPORT_GRIDS, GridConfig, GridLaunchConfig, TrainingConfig  # noqa: E402
from tuning.launch.folder import create_launch  # noqa: E402
from tuning.launch.trainings import grid_trainings  # noqa: E402
from tuning.tracking.projection import Projection  # noqa: E402
from tuning.tracking.store import prepare_store  # noqa: E402


@dataclasses.dataclass
class _Trial:
    """As much of Ray Tune's trial as callbacks use."""

    trial_id: str
    config: dict[str, Any]
    local_path: str = ""

    def __hash__(self) -> int:
        return hash(self.trial_id)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--reports", type=int, default=200)
    parser.add_argument("--repetitions", type=int, default=3)
    asked = parser.parse_args()
    runs = repeat(asked.repetitions, partial(_once, asked.reports))
    name = "tracking: driver's time per report of 12 metrics, stock callback / ours"
    ratios = [run["stock_ms"] / run["ours_ms"] for run in runs]
    whole = min(run["stock_ms"] / run["ours_with_thread_ms"] for run in runs)
    note = f"at least {whole:.0f} if the work of our thread is counted too"
    write("tracking_cost", [Measurement(name, "", 20, "least", ratios, note)], runs=runs)


def _once(reports: int, scratch: Path) -> dict[str, float]:
    return {"stock_ms": 1e3 * _stock(scratch, reports), **_ours(scratch, reports)}


def _stock(scratch: Path, reports: int) -> float:
    """Seconds per report of the stock callback on SQLite."""
    uri = f"sqlite:///{scratch}/stock/mlruns/mlflow.db"
    prepare_store(uri)
    callback = MLflowLoggerCallback(tracking_uri=uri, experiment_name="stock")
    trial = _Trial("trial", {"lr": 1e-3})
    callback.setup()
    callback.log_trial_start(trial)
    started = time.perf_counter()
    for number, record in enumerate(_records(reports), start=1):
        callback.log_trial_result(number, trial, {**record, "training_iteration": number})
    seconds = time.perf_counter() - started
    callback.log_trial_end(trial)
    return seconds / reports


def _ours(scratch: Path, reports: int) -> dict[str, float]:
    """Milliseconds per report: that the loop waits, and of processor time until delivered."""
    settings = PrepareSettings(dataset="synthetic-faces", count=20, size=16, augment=1)
    dataset = prepare(settings, scratch / "data").dataset
    config = GridLaunchConfig(
        storage_path=str(scratch / "ray_results"), grid=GridConfig(**REPORT_GRIDS["regression"])
    )
    trainings = grid_trainings("regression", config.grid, TrainingConfig(), dataset.size)
    uri = f"sqlite:///{scratch}/ours/mlruns/mlflow.db"
    launch = create_launch(
        *("grid", "regression", config, dataset, trainings), tracking_uri=uri, baseline={}
    )
    projection = Projection(launch.storage, uri)
    projection.start()
    time.sleep(2)  # what the thread does at its start is not the cost of a report
    worked, started = time.process_time(), time.perf_counter()
    for record in _records(reports):
        projection.observe(trainings[0].training_id, [record])
    waited = time.perf_counter() - started
    projection.close("FINISHED")
    worked = time.process_time() - worked
    _check_delivered(uri, reports)
    return {"ours_ms": 1e3 * waited / reports, "ours_with_thread_ms": 1e3 * worked / reports}


def _check_delivered(uri: str, reports: int) -> None:
    """Dropped reports would be cheap."""
    client = MlflowClient(uri, uri)
    experiments = [found.experiment_id for found in client.search_experiments()]
    runs = client.search_runs(experiments)
    steps = max(len(client.get_metric_history(run.info.run_id, "train_loss")) for run in runs)
    if steps != reports:
        raise SystemExit(f"MLflow holds {steps} of {reports} reports")


def _records(count: int) -> Iterator[dict[str, Any]]:
    for epoch in range(1, count + 1):
        yield {
            "epoch": epoch,
            "train_loss": 1 / epoch,
            "seconds": 1.0,
            "lr": 1e-3,
            "timestamp": time.time_ns() // 1_000_000,
            **{f"val_metric_{number}": number / epoch for number in range(11)},
        }


if __name__ == "__main__":
    main()
