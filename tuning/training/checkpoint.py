"""The live state of a training, and how it becomes a checkpoint and comes back."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor

from models import ChromaModel, create_model, drawing_no_weights, model_info
from tuning.errors import ChromatuneError
from tuning.training.checkpoint_files import (
    file_name,
    read_state,
    read_tensors,
    write_state,
    write_tensors,
)
from tuning.training.config import FitConfig
from tuning.training.tasks import higher_is_better

EpochRecord = dict[str, Any]

_SCORE = "val_mse"  # of which the PSNR is a decreasing function


@dataclass
class TrainState:
    """Everything that decides how a training continues after `epoch` epochs.

    `rng` holds the states of the torch generators that the training draws from, by device type.
    `averaged` is the moving average of the model, `best` the weights with the best validation
    score so far, where the configuration wants them. A state that has `ended`
    has neither weights nor optimizer, only its history: see `save`.
    """

    config: FitConfig
    model: ChromaModel
    optimizer: torch.optim.Optimizer
    rng: dict[str, Tensor]
    epoch: int = 0
    history: list[EpochRecord] = field(default_factory=list)
    dataset_digest: str | None = None
    ended: bool = False
    averaged: ChromaModel | None = None
    best: dict[str, Tensor] | None = None

    @classmethod
    def create(
        cls,
        config: FitConfig,
        device: str | torch.device = "cpu",
        initial_weights: Mapping[str, Tensor] | None = None,
    ) -> Self:
        """Make the state before the first epoch: weights from the seed, or `initial_weights`.

        A seed gives the same weights on every device; torch's global generators are left as they
        were. Raises ChromatuneError if `initial_weights` do not fit the model.
        """
        device = torch.device(device)
        with torch.random.fork_rng(devices=_cuda_devices(device)):
            torch.manual_seed(config.seed)
            model = _build(config)
            rng = _rng_states(device)
        if initial_weights is not None:
            _load_weights(model, initial_weights, "the initial weights")
        optimizer = _optimizer(model, config, device)
        averaged = copy.deepcopy(model) if config.ema else None
        return cls(config, model, optimizer, rng, averaged=averaged)

    @property
    def validated(self) -> ChromaModel:
        """The model that is validated and kept: the averaged one if there is one."""
        return self.averaged or self.model

    @property
    def best_record(self) -> EpochRecord | None:
        """The record of the first epoch with the best validation score; None before one."""
        score = self.config.keep_by or _SCORE
        scored = [record for record in self.history if score in record]
        best = max if higher_is_better(score) else min
        return best(scored, key=lambda record: float(record[score]), default=None)

    @property
    def ran_out_of_patience(self) -> bool:
        """Whether the validation score has not improved for as long as the training may wait."""
        best = self.best_record
        patience = self.config.patience
        return patience is not None and best is not None and self.epoch - best["epoch"] >= patience

    def average_weights(self, step: int) -> None:
        """Move the averaged model towards the model after a step, counted from 0."""
        if self.averaged is None:
            return
        # Early on the average must not be held up by the initial weights.
        decay = min(self.config.ema, (1 + step) / (10 + step))
        averages: list[Tensor] = list(self.averaged.parameters())
        currents: list[Tensor] = list(self.model.parameters())
        with torch.no_grad():
            torch._foreach_lerp_(averages, currents, 1 - decay)
            for average, current in zip(self.averaged.buffers(), self.model.buffers(), strict=True):
                if average.is_floating_point():
                    average.lerp_(current, 1 - decay)
                else:
                    average.copy_(current)

    def epoch_ended(self, epoch: int, record: EpochRecord) -> None:
        """Enter the record of an epoch, and keep its weights if they are the best so far."""
        self.epoch = epoch
        self.history.append(record)
        if self.config.keep == "best" and self.best_record is record:
            weights = self.validated.state_dict()
            self.best = {name: tensor.detach().clone() for name, tensor in weights.items()}

    def kept(self) -> tuple[ChromaModel, EpochRecord]:
        """Return the model that is the training's result so far, and the record of its epoch."""
        if self.best is None:
            return self.validated, self.history[-1]
        model = copy.deepcopy(self.validated)
        model.load_state_dict(self.best)
        record = self.best_record
        assert record is not None
        return model, record

    @contextmanager
    def own_rng(self) -> Iterator[None]:
        """Let torch draw from this training's generators, and remember how far they got.

        Whatever else draws from the global ones between two epochs then changes nothing.
        """
        device = next(self.model.parameters()).device
        with torch.random.fork_rng(devices=_cuda_devices(device)):
            torch.set_rng_state(self.rng["cpu"])
            # A training that moved from a CPU to a GPU starts with the generator it finds there.
            if device.type == "cuda" and "cuda" in self.rng:
                torch.cuda.set_rng_state(self.rng["cuda"], device)
            yield
            self.rng = _rng_states(device)

    def save(self, folder: str | Path, *, final: bool = False) -> None:
        """Write the checkpoint into `folder`, replacing the one there in one step.

        With `final`, write epoch and history alone, no weights and no optimizer: for a training
        that has ended, whose models are in its cells.
        """
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        files: dict[str, str] = {}
        if not (final or self.ended):
            files["model"] = write_tensors(folder, "model", self.model.state_dict())
            files["optimizer"] = write_tensors(folder, "optimizer", self._optimizer_tensors())
            if self.averaged is not None:
                files["averaged"] = write_tensors(folder, "averaged", self.averaged.state_dict())
            if self.best is not None:
                files["best"] = write_tensors(folder, "best", self.best)
        content = {
            "training": self.config.identity(),
            "dataset_digest": self.dataset_digest,
            "epoch": self.epoch,
            "history": self.history,
            "files": files,
        }
        write_state(folder, content)
        for leftover in folder.glob("*.safetensors*"):
            if leftover.name not in [file_name(kind, digest) for kind, digest in files.items()]:
                leftover.unlink()

    @classmethod
    def load(
        cls,
        folder: str | Path,
        config: FitConfig,
        device: str | torch.device = "cpu",
    ) -> Self:
        """Read the checkpoint in `folder`, to continue the training `config` on `device`.

        The milestones may be others than it began with. Raises ChromatuneError if the checkpoint
        is missing, incomplete, changed since it was written, or of another training; whether it is
        of another dataset, `fit` checks.
        """
        folder = Path(folder)
        content = read_state(folder)
        _check_identity(folder, content["training"], config.identity())
        files: dict[str, str] = content["files"]
        with drawing_no_weights(model_info(config.model).code):
            model = _build(config)
        if files:
            _load_weights(model, read_tensors(folder, "model", files), str(folder), assign=True)
        optimizer = _optimizer(model, config, torch.device(device if files else "meta"))
        state = cls(
            config,
            model,
            optimizer,
            {},
            content["epoch"],
            content["history"],
            content["dataset_digest"],
            ended=not files,
        )
        if files:
            state._restore_optimizer(read_tensors(folder, "optimizer", files), folder)
        if "averaged" in files:
            state.averaged = copy.deepcopy(model)
            weights = read_tensors(folder, "averaged", files)
            _load_weights(state.averaged, weights, str(folder))
        if "best" in files:
            best = read_tensors(folder, "best", files)
            state.best = {name: tensor.to(device) for name, tensor in best.items()}
        return state

    def _optimizer_tensors(self) -> dict[str, Tensor]:
        tensors = {f"rng/{device}": state for device, state in self.rng.items()}
        for name, parameter in self.model.named_parameters():
            for key, value in self.optimizer.state.get(parameter, {}).items():
                tensors[f"{key}/{name}"] = value
        return tensors

    def _restore_optimizer(self, tensors: dict[str, Tensor], folder: Path) -> None:
        parameters = dict(self.model.named_parameters())
        damaged = f"the checkpoint in {folder} is damaged:"
        for key, value in tensors.items():
            kind, _, name = key.partition("/")
            if kind == "rng":
                self.rng[name] = value
                continue
            parameter = parameters.get(name)
            if parameter is None or value.shape != (() if kind == "step" else parameter.shape):
                raise ChromatuneError(f"{damaged} the optimizer's '{key}' does not fit the model")
            # The fused kernel walks a parameter and its moments side by side in memory, so they
            # must lie in the same order, which a file does not keep. A step count is a scalar.
            like = value if kind == "step" else parameter
            restored = torch.empty_like(like, device=parameter.device).copy_(value)
            self.optimizer.state[parameter][kind] = restored
        try:
            torch.Generator().set_state(self.rng["cpu"])
        except (KeyError, TypeError, RuntimeError):
            raise ChromatuneError(f"{damaged} the state of its random generator is none") from None


def _build(config: FitConfig) -> ChromaModel:
    return create_model(
        config.model,
        head=config.head,
        image_size=config.image_size,
        flip_average=config.flip_average,
        **config.model_kwargs,
    )


def _optimizer(
    model: ChromaModel, config: FitConfig, device: torch.device
) -> torch.optim.Optimizer:
    """Move the model to its device, in the layout that trains fastest, and make its optimizer."""
    # Channels-last takes 10 to 30 % off a step of CNN2, CNN3 and the autoencoder on a CPU.
    model.to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    kind = _OPTIMIZERS[config.optimizer]
    return kind(model.parameters(), lr=config.lr, weight_decay=config.weight_decay, fused=True)


def _uncompiled(optimizer: type[torch.optim.Adam]) -> Callable[..., torch.optim.Adam]:
    """Remove torch's wrappers for `torch.compile`, which import it: 1.8 s for each process."""
    names = ("step", "zero_grad", "add_param_group")
    methods = {name: torch.no_grad()(inspect.unwrap(getattr(optimizer, name))) for name in names}
    return type(optimizer.__name__, (optimizer,), methods)


_OPTIMIZERS = {"adam": _uncompiled(torch.optim.Adam), "adamw": _uncompiled(torch.optim.AdamW)}


def _load_weights(
    model: ChromaModel, weights: Mapping[str, Tensor], source: str, *, assign: bool = False
) -> None:
    try:
        model.load_state_dict(weights, assign=assign)
    except RuntimeError as error:
        name = model.spec["name"]
        reason = " ".join(str(error).split())
        raise ChromatuneError(f"{source} do not fit the model {name}: {reason}") from None


def _cuda_devices(device: torch.device) -> list[torch.device]:
    return [device] if device.type == "cuda" else []


def _rng_states(device: torch.device) -> dict[str, Tensor]:
    states = {"cpu": torch.get_rng_state()}
    if device.type == "cuda":
        states["cuda"] = torch.cuda.get_rng_state(device)
    return states


def _check_identity(folder: Path, found: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
    for key in {**wanted, **found}:
        if found.get(key) != wanted.get(key):
            raise ChromatuneError(
                f"the checkpoint in {folder} is of another training: its {key} is "
                f"{found.get(key)!r}, not {wanted.get(key)!r}"
            )
