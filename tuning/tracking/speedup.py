"""A comparison of CPU and GPU as one MLflow run, written as each half is measured."""

from __future__ import annotations

import time

from mlflow.entities import Metric

from data_prep import PreparedDataset
from tuning.tracking.run_tags import environment_tags, origin_tags
from tuning.tracking.runs import FINISHED, TAG, LaunchRuns
from tuning.tracking.store import RETRY, make_client, open_experiment, prepare_store, translated
from tuning.training.config import FitConfig
from tuning.training.speedup import TASK, Half
from tuning.utils import provenance

_KIND = "speedup"
_PARAMS = ("model", "head", "lr", "epochs", "batch_size", "seed", "image_size")


class SpeedupRun:
    """The run of one comparison. It is created with the first half, so that none is ever empty."""

    def __init__(self, tracking_uri: str, dataset: PreparedDataset, config: FitConfig) -> None:
        prepare_store(tracking_uri)
        self._uri = tracking_uri
        self._dataset = dataset
        self._config = config
        self._started = round(time.time() * 1000)
        stamp = time.strftime("%Y%m%d-%H%M%S", time.localtime(self._started / 1000))
        self.launch_id = f"{_KIND}-{TASK}-{dataset.name}-{stamp}"
        self._seconds: dict[str, float] = {}
        self._document = {
            "versions": provenance.versions(),
            "hardware": provenance.hardware(),
            "dataset_digest": dataset.digest,
            "command": provenance.command(),
            "git_commit": provenance.git_commit(),
        }

    @property
    def factor(self) -> float | None:
        """How many times faster the GPU is; None until both halves are there."""
        both = self._seconds.keys() >= {"cpu", "gpu"}
        return self._seconds["cpu"] / self._seconds["gpu"] if both else None

    def add(self, half: Half) -> None:
        """Write a half: its epochs, its sum, its hardware, and the factor once both are there.

        Raises ChromatuneError if the store does not accept it.
        """
        self._seconds[half.device] = half.seconds
        now, last = round(time.time() * 1000), len(half.epoch_seconds)
        metrics = [
            Metric(f"{half.device}_epoch_seconds", seconds, now, epoch)
            for epoch, seconds in enumerate(half.epoch_seconds, start=1)
        ]
        metrics.append(Metric(f"{half.device}_seconds", half.seconds, now, last))
        if self.factor is not None:
            metrics.append(Metric("speedup", self.factor, now, last))
        client = make_client(self._uri)
        about = {"kind": _KIND, "task": TASK, "dataset": self._dataset.name}
        tags = {f"{TAG}{key}": text for key, text in about.items()}
        name = f"{self._dataset.name}-{TASK}-{_KIND}"
        with translated(f"cannot write the {half.device} half to MLflow", RETRY):
            experiment_id = open_experiment(client, self._uri, name, tags)
            runs = LaunchRuns(client, experiment_id, self.launch_id)
            run = runs.open(
                "",
                name=self.launch_id,
                params={key: str(getattr(self._config, key)) for key in _PARAMS},
                tags={**tags, **environment_tags(self._document), **origin_tags(self._document)},
                started=self._started,
            )
            runs.write(run, metrics=metrics, tags={f"{TAG}{half.device}": half.hardware})
            runs.end(run, FINISHED, "finished", now)
