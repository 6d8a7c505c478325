"""A comparison of CPU and GPU as one MLflow run, written as its halves are measured."""

from __future__ import annotations

import time

from mlflow.entities import Metric
from mlflow.exceptions import MlflowException

from data_prep import PreparedDataset
from tuning.errors import ChromatuneError
from tuning.tracking.runs import FINISHED, TAG, LaunchRuns
from tuning.tracking.store import first_line, make_client, open_experiment, prepare_store
from tuning.training.config import FitConfig
from tuning.training.speedup import TASK, Half
from tuning.utils import provenance

KIND = "speedup"


class SpeedupRun:
    """The run of one comparison. It is made with the first half, so that none is ever empty."""

    def __init__(self, tracking_uri: str, dataset: PreparedDataset, config: FitConfig) -> None:
        prepare_store(tracking_uri)
        self._uri = tracking_uri
        self._dataset = dataset
        self._config = config
        self._started = round(time.time() * 1000)
        stamp = time.strftime("%Y%m%d-%H%M%S", time.localtime(self._started / 1000))
        self.launch_id = f"{KIND}-{TASK}-{dataset.name}-{stamp}"
        self._halves: list[Half] = []

    def add(self, half: Half) -> None:
        """Write a half: its epochs, its sum, its hardware, and the factor once both are there.

        Raises ChromatuneError if the store does not take it.
        """
        self._halves.append(half)
        try:
            self._write(half)
        except MlflowException as error:
            raise ChromatuneError(
                f"the {half.device} half could not be written to MLflow: {first_line(error)}"
            ) from None

    @property
    def factor(self) -> float | None:
        """How many times faster the GPU is; None until both halves are there."""
        seconds = {half.device: half.seconds for half in self._halves}
        return seconds["cpu"] / seconds["gpu"] if len(seconds) == 2 else None

    def _write(self, half: Half) -> None:
        client = make_client(self._uri)
        kind = {"kind": KIND, "task": TASK, "dataset": self._dataset.name}
        tags = {f"{TAG}{key}": text for key, text in kind.items()}
        name = f"{self._dataset.name}-{TASK}-{KIND}"
        runs = LaunchRuns(client, open_experiment(client, self._uri, name, tags), self.launch_id)
        run = runs.open(
            "",
            name=self.launch_id,
            params=self._params(),
            tags={**tags, **self._provenance()},
            started=self._started,
        )
        now = round(time.time() * 1000)
        metrics = [
            Metric(f"{half.device}_epoch_seconds", seconds, now, epoch)
            for epoch, seconds in enumerate(half.epoch_seconds, start=1)
        ]
        metrics.append(Metric(f"{half.device}_seconds", half.seconds, now, len(half.epoch_seconds)))
        if self.factor is not None:
            metrics.append(Metric("speedup", self.factor, now, len(half.epoch_seconds)))
        runs.write(run, metrics=metrics, tags={f"{TAG}{half.device}": half.hardware})
        runs.end(run, FINISHED, "finished", now)

    def _params(self) -> dict[str, str]:
        config = self._config
        return {
            "model": config.model,
            "head": config.head,
            "lr": str(config.lr),
            "epochs": str(config.epochs),
            "batch_size": str(config.batch_size),
            "seed": str(config.seed),
            "image_size": str(config.image_size),
        }

    def _provenance(self) -> dict[str, str]:
        versions, hardware = provenance.versions(), provenance.hardware()
        tags = {
            f"{TAG}dataset_digest": self._dataset.digest,
            f"{TAG}versions": ", ".join(f"{key} {text}" for key, text in versions.items()),
            f"{TAG}hardware": ", ".join(f"{key} {text}" for key, text in hardware.items()),
            "mlflow.source.name": provenance.command(),
            "mlflow.source.type": "LOCAL",
        }
        commit = provenance.git_commit()
        return {**tags, "mlflow.source.git.commit": commit} if commit else tags
