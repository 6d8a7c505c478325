"""Validation's share of a training's processor time, at the default cadence over 100 epochs.

    python -m benchmarks.validation_share --data-root data

Without prepared copies, whose epochs would be ten times as long. A few epochs are trained, and
their time without validation is extrapolated; validations are timed one by one.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch

from benchmarks.harness import Measurement, parser, repeat, table, write
from tuning.config.schema import REPORT_GRIDS, DataConfig
from tuning.launch.open_dataset import open_prepared
from tuning.training.config import FitConfig
from tuning.training.data import TaskData, load_task_data
from tuning.training.loop import fit
from tuning.training.metrics import evaluate

EPOCHS = 100
_TRAINED = 3


def main() -> None:
    options = parser(__doc__ or "", repetitions=3)
    asked = options.parse_args()
    torch.set_num_threads(1)
    config = DataConfig(dataset=asked.dataset, root=asked.data_root.absolute(), augment=1)
    runs = repeat(asked.repetitions, partial(_shares, config))
    measurements = [
        Measurement(
            f"validation / training of {model}", " %", 5.0, "most", [r[model] for r in runs]
        )
        for model in runs[0]
    ]
    print(table([write("validation_share", measurements, runs=runs)]))


def _shares(config: DataConfig, _: Path) -> dict[str, float]:
    dataset = open_prepared(config)
    return {
        model: 100 * _share(model, load_task_data(dataset, task))
        for task, grid in REPORT_GRIDS.items()
        for model in grid["models"]
    }


def _share(model: str, data: TaskData) -> float:
    whole = FitConfig(model, "relu", 1e-3, (EPOCHS,), image_size=data.image_size)
    short = FitConfig(model, "relu", 1e-3, (_TRAINED,), image_size=data.image_size, eval_every=10)
    started = time.process_time()
    *_, result = fit(short, data)
    trained = time.process_time() - started
    validated = partial(evaluate, result.state.model, data.val, data.task)
    usual = _seconds(partial(validated, names=whole.validated_metrics(1)))
    complete = _seconds(validated)
    epoch = (trained - usual - complete) / _TRAINED  # after the first epoch and the last
    count = sum(map(whole.is_validated, range(1, EPOCHS)))
    return (count * usual + complete) / (EPOCHS * epoch)


def _seconds(call: Callable[[], object]) -> float:
    times = []
    for _ in range(5):
        started = time.process_time()
        call()
        times.append(time.process_time() - started)
    return statistics.median(times)


if __name__ == "__main__":
    main()
