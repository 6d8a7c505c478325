"""An empty Ray Tune launch: the least that a driver of so many trials can cost.

Trials report one number and end. Nothing is tracked or kept but what Ray Tune itself writes.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import ray
from ray import tune


def main() -> None:
    options = argparse.ArgumentParser()
    options.add_argument("--trials", type=int, required=True)
    options.add_argument("--out", type=Path, required=True)
    asked = options.parse_args()
    ray.init(address="local", include_dashboard=False, log_to_driver=False)
    ended = _Ended()
    tune.Tuner(
        _train,
        tune_config=tune.TuneConfig(num_samples=asked.trials, reuse_actors=True),
        run_config=tune.RunConfig(
            storage_path=str(asked.out.parent / "empty"), callbacks=[ended], verbose=0
        ),
    ).fit()
    cost = (ended.processor_s[-1] - ended.processor_s[0]) / (len(ended.processor_s) - 1)
    asked.out.write_text(json.dumps({"processor_s": cost}))


def _train(_: dict[str, Any]) -> None:
    tune.report({"loss": 0.0})


class _Ended(tune.Callback):  # type: ignore[misc]
    """Notes the driver's processor time at the end of each trial."""

    def __init__(self) -> None:
        self.processor_s: list[float] = []

    def on_trial_complete(self, *_: Any, **__: Any) -> None:
        self.processor_s.append(time.process_time())


if __name__ == "__main__":
    main()
