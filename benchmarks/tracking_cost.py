"""What a report costs the driver: Ray's stock MLflow callback against ours.

    python -m benchmarks.tracking_cost

Both callbacks are handed the same reports of 12 metrics, one after another, as Ray Tune's own loop
does it, which waits for each of them: what is measured is that wait. Behind ours a thread writes to
MLflow; its processor time, until everything is delivered, stands in the results file as well.
"""

from __future__ import annotations

import argparse
import dataclasses
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tuning.utils import environment

environment.set_defaults()

from mlflow import MlflowClient  # noqa: E402
from ray.air.integrations.mlflow import MLflowLoggerCallback  # noqa: E402
from rich.console import Console  # noqa: E402

from benchmarks.measuring import Claim, write  # noqa: E402
from data_prep import PrepareSettings, prepare  # noqa: E402
from tuning.backend.callback import Watcher  # noqa: E402
from tuning.config.schema import REPORT_GRIDS, GridConfig, GridLaunchConfig, TrainingConfig  # noqa: E402
from tuning.display.progress import LaunchProgress  # noqa: E402
from tuning.launch.folder import create_launch  # noqa: E402
from tuning.launch.trainings import grid_trainings  # noqa: E402
from tuning.tracking.projection import Projection  # noqa: E402
from tuning.tracking.store import prepare_store  # noqa: E402


@dataclasses.dataclass
class _Trial:
    """As much of a trial of Ray Tune's as callbacks look at."""

    trial_id: str
    config: dict[str, Any]
    local_path: str = ""

    def __str__(self) -> str:
        return self.trial_id

    def __hash__(self) -> int:
        return hash(self.trial_id)


def main() -> None:
    asked = _arguments()
    ratios, details = [], []
    for _ in range(asked.repetitions):
        with tempfile.TemporaryDirectory() as scratch:
            stock = _stock(Path(scratch), asked.reports)
            waited, worked = _ours(Path(scratch), asked.reports)
        ratios.append(stock / waited)
        details.append(
            {"stock_ms": 1e3 * stock, "ours_ms": 1e3 * waited, "ours_with_thread_ms": 1e3 * worked}
        )
    name = "tracking: driver's time per report of 12 metrics, stock callback / ours"
    share = min(one["stock_ms"] / one["ours_with_thread_ms"] for one in details)
    note = f"at least {share:.0f} with all that our thread works, against the stock one's wait"
    write("tracking_cost", [Claim(name, "", 20, "least", ratios, note)], runs=details)


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


def _ours(scratch: Path, reports: int) -> tuple[float, float]:
    """Seconds that a report holds the loop up, and seconds of processor time until delivered."""
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
    console = Console(quiet=True)
    projection.start()
    time.sleep(2)  # for what the thread does at its start, which is no report's cost
    training = trainings[0]
    trial = _Trial(training.training_id, {"trainings": [training.to_dict()]})
    with LaunchProgress(
        console, "launch", [(training.training_id, reports)], "val_mse", False
    ) as p:
        watcher = Watcher(projection, p, None)
        worked = time.process_time()
        started = time.perf_counter()
        for number, record in enumerate(_records(reports), start=1):
            report = {"outcome": "running", "message": "", "records": [record]}
            result = {**record, "trainings": {training.training_id: report}}
            watcher.on_trial_result(number, [trial], trial, result)
        waited = time.perf_counter() - started
        projection.close("FINISHED")
        worked = time.process_time() - worked
    _check_delivered(uri, reports)
    return waited / reports, worked / reports


def _check_delivered(uri: str, reports: int) -> None:
    """A report that nobody took in would be cheap."""
    client = MlflowClient(uri, uri)
    experiments = [one.experiment_id for one in client.search_experiments()]
    steps = max(
        len(client.get_metric_history(run.info.run_id, "train_loss"))
        for run in client.search_runs(experiments)
    )
    if steps != reports:
        raise SystemExit(f"of {reports} reports, MLflow holds {steps}")


def _records(count: int) -> Iterator[dict[str, Any]]:
    for epoch in range(1, count + 1):
        metrics = {f"val_metric_{number}": number / epoch for number in range(11)}
        yield {
            "epoch": epoch,
            "train_loss": 1 / epoch,
            "seconds": 1.0,
            "lr": 1e-3,
            "timestamp": time.time_ns() // 1_000_000,
            **metrics,
        }


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--reports", type=int, default=200)
    parser.add_argument("--repetitions", type=int, default=3)
    return parser.parse_args()


if __name__ == "__main__":
    main()
