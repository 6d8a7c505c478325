"""`fit()`: the training loop, in plain PyTorch."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from tuning.errors import ChromatuneError
from tuning.training.batches import Batches
from tuning.training.checkpoint import EpochRecord, TrainState
from tuning.training.config import FitConfig
from tuning.training.data import TaskData
from tuning.training.devices import keep_freed_memory, tf32_if
from tuning.training.losses import training_loss
from tuning.training.lr_schedule import learning_rate
from tuning.training.metrics import MOST_AS_REPORTED, NonFinitePredictionError, evaluate


class Diverged(ChromatuneError):  # noqa: N818  (it names an outcome of a trial)
    """A training's loss or a validation metric became NaN or infinite: the trial has failed."""

    def __init__(self, epoch: int, name: str, value: float) -> None:
        super().__init__(epoch, name, value)  # all three, so that the error survives pickling
        self.epoch = epoch
        self.name = name
        self.value = value

    def __str__(self) -> str:
        return (
            f"the training diverged in epoch {self.epoch}: {self.name} is {self.value}; "
            "try a lower learning rate"
        )


@dataclass
class EpochResult:
    """What `fit` yields after an epoch.

    `record` holds `epoch`, `train_loss` (mean of the batches' losses in the head's range), `lr` (at
    the epoch's end), `seconds` (that this process spent on training, without validation),
    `timestamp` (ms since 1970), and the `val_` metrics of epochs that were validated. After the
    `last` epoch, which `patience` may bring forward, the iterator ends; it is a milestone too.
    `state` is live: the next epoch changes it.
    """

    record: EpochRecord
    milestone: bool
    last: bool
    state: TrainState


def fit(
    config: FitConfig,
    data: TaskData,
    *,
    device: str | torch.device = "cpu",
    state: TrainState | None = None,
    initial_weights: Mapping[str, Tensor] | None = None,
) -> Iterator[EpochResult]:
    """Train a model on `data` and yield after every epoch.

    By default as in the original paper: Adam with weight decay, mean squared error, a constant
    learning rate, batches fixed once. FitConfig has the options, Batches the order.

    With a `state`, continue after its epoch; `initial_weights` then no longer matter. On a CPU the
    same configuration, data and number of threads give the same bits, in one go or resumed.

    Raises ChromatuneError at once if configuration, data and state do not belong together, and
    Diverged while iterating.
    """
    device = torch.device(device)
    _check_data(config, data)
    if state is None:
        state = TrainState.create(config, device, initial_weights)
    _check_state(state, config, data)
    return _epochs(config, data, device, state)


def _epochs(
    config: FitConfig, data: TaskData, device: torch.device, state: TrainState
) -> Iterator[EpochResult]:
    if state.epoch == config.epochs or state.ran_out_of_patience:
        return
    keep_freed_memory()
    batches = Batches(config, data.train, device)
    for epoch in range(state.epoch + 1, config.epochs + 1):
        started = time.perf_counter()
        with state.own_rng(), tf32_if(config.precision == "tf32"):
            train_loss = _train_epoch(state, batches).item() / len(batches)
        seconds = time.perf_counter() - started
        if not math.isfinite(train_loss):
            raise Diverged(epoch, "train_loss", train_loss)

        record: EpochRecord = {
            "epoch": epoch,
            "train_loss": train_loss,
            "lr": state.optimizer.param_groups[0]["lr"],
            "seconds": seconds,
            "timestamp": time.time_ns() // 1_000_000,
        }
        if config.is_validated(epoch):
            record |= _validate(state, config, data, device, epoch)
        state.epoch_ended(epoch, record)
        last = epoch == config.epochs or state.ran_out_of_patience
        yield EpochResult(dict(record), last or epoch in config.milestones, last, state)
        if last:
            return


def _train_epoch(state: TrainState, batches: Batches) -> Tensor:
    """Take all steps of an epoch; return the sum of their losses, on the device."""
    config, model, optimizer = state.config, state.model, state.optimizer
    model.train()
    total = torch.zeros((), dtype=torch.float64, device=next(model.parameters()).device)
    for step, batch in enumerate(batches.epoch(), start=state.epoch * len(batches)):
        optimizer.param_groups[0]["lr"] = learning_rate(
            config, step / (config.epochs * len(batches))
        )
        loss = training_loss(config, model, batch)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        state.average_weights(step)
        # Summed on the device: reading every loss would make a GPU wait for each batch.
        total += loss.detach()
    return total


def _validate(
    state: TrainState, config: FitConfig, data: TaskData, device: torch.device, epoch: int
) -> dict[str, float]:
    try:
        metrics = evaluate(
            state.validated,
            data.val,
            data.task,
            device=device,
            batch_size=config.batch_size,
            names=config.validated_metrics(epoch),
        )
    except NonFinitePredictionError:
        raise Diverged(epoch, "val_mse", math.nan) from None
    for name, value in metrics.items():
        if not math.isfinite(value):
            raise Diverged(epoch, name, value)
    if config.keep_by is not None and config.keep_by not in metrics:
        few = "few" if len(data.val) < MOST_AS_REPORTED else "many"
        raise ChromatuneError(
            f"keep_by: {len(data.val)} pictures are too {few} for {config.keep_by}"
        )
    return metrics


def _check_data(config: FitConfig, data: TaskData) -> None:
    if config.task != data.task:
        raise ChromatuneError(
            f"{config.model} is a model for {config.task}, but the data were loaded for {data.task}"
        )
    if config.image_size != data.image_size:
        raise ChromatuneError(
            f"the training is set to image_size {config.image_size}, "
            f"but {data.dataset} holds pictures of {data.image_size} px"
        )


def _check_state(state: TrainState, config: FitConfig, data: TaskData) -> None:
    if state.dataset_digest is None:
        state.dataset_digest = data.digest
    if state.dataset_digest != data.digest:
        raise ChromatuneError(
            f"the checkpoint was trained on data with the digest {state.dataset_digest[:12]}, "
            f"but {data.dataset} has {data.digest[:12]}: the dataset was prepared otherwise"
        )
    if config.category_weight and config.model_kwargs["categories"] <= data.train.categories.max():
        raise ChromatuneError(
            f"{data.dataset} shows {data.train.categories.max() + 1} categories, but the model "
            f"has {config.model_kwargs['categories']}: set model_kwargs.categories"
        )
    if state.epoch > config.epochs:
        raise ChromatuneError(
            f"the checkpoint is at epoch {state.epoch}, beyond the last milestone {config.epochs}"
        )
    if state.ended and state.epoch < config.epochs:
        raise ChromatuneError(
            f"the training ended at epoch {state.epoch} and kept no weights to continue "
            f"to {config.epochs}: start a new training"
        )
    batch = min(config.batch_size, len(data.train))
    if batch == 1 and any(isinstance(m, nn.BatchNorm1d) for m in state.model.modules()):
        raise ChromatuneError(f"{config.model} normalizes over a batch, which one picture is not")
