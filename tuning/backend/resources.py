"""How much of a machine each trial gets: what its network and its batches need."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import ray
import torch
from ray import tune
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from models import create_model
from tuning.backend.cluster import TrialResources, may_grow, trial_resources
from tuning.config.schema import ResourcesConfig
from tuning.launch.trainings import Training
from tuning.training.config import FitConfig
from tuning.training.data import TaskData

SHARES = (1 / 16, 1 / 8, 1 / 4, 1 / 2, 1.0)
# What a process takes before it computes: CUDA's own context, and cuDNN's workspace.
_CONTEXT_BYTES = 1 << 30
# Weights, gradients, two moments of Adam, the averaged and the best weights, in float32.
_BYTES_PER_PARAMETER = 6 * 4
# The allocator cuts memory into pieces that do not all fit again.
_MARGIN = 1.25
_ANSWER_WITHIN_S = 60


class TrialShares:
    """Tells Ray what a trial needs, by its training: `tune.with_resources` calls it.

    On GPUs a trial gets the smallest of SHARES whose memory its training fits into, or
    `gpus_per_trial` if that is given; its cores are what then comes to it. Without GPUs all trials
    are alike.
    """

    def __init__(self, wanted: ResourcesConfig, data: TaskData) -> None:
        self._wanted = wanted
        self._data_bytes = _size_of(data)
        self._memory = None if wanted.gpus_per_trial is not None else smallest_gpu()
        self._shares: dict[str, float] = {}

    def __call__(self, config: dict[str, Any]) -> tune.PlacementGroupFactory:
        hand_out = config["hand_out"]
        share = self.of(Training.from_dict(hand_out["training"]).fit, hand_out["gpus"])
        return tune.PlacementGroupFactory([{"CPU": share.cpus, "GPU": share.gpus}])

    def of(self, fit: FitConfig, gpus: float | None = None) -> TrialResources:
        """What one training gets, and how many such fit at once; `gpus` overrides its share."""
        return self._with(gpus or self._share(fit))

    def check(self, fit: FitConfig) -> None:
        """Raise ChromatuneError if no node could ever run such a training."""
        self.of(fit)

    def has_room(self, live: Sequence[tuple[FitConfig, float | None]]) -> bool:
        """Whether one more may be begun beside those that are live."""
        slots = {}
        for gpus in {gpus or self._share(fit) for fit, gpus in live}:
            slots[gpus] = self._with(gpus).slots
        taken = math.fsum(1 / slots[gpus or self._share(fit)] for fit, gpus in live)
        # Where nodes come with the work, one trial that waits makes them come.
        waiting = 1 / self._with(None).slots if may_grow() else 0.0
        return taken < 1 + waiting - 1e-9

    def _share(self, fit: FitConfig) -> float | None:
        """The share of a GPU that the training needs; None where that is not ours to say."""
        if self._memory is None:
            return self._wanted.gpus_for(fit.model)
        key = repr(fit)
        if key not in self._shares:
            self._shares[key] = gpu_share(memory_needed(fit, self._data_bytes), self._memory)
        return self._shares[key]

    def _with(self, gpus: float | None) -> TrialResources:
        return trial_resources(self._wanted.model_copy(update={"gpus_per_trial": gpus}))


def larger_share(gpus: float) -> float | None:
    """The next larger share of a GPU; None if a whole one was not enough."""
    return next((share for share in SHARES if share > gpus + 1e-9), None)


def gpu_share(needed: int, memory: int) -> float:
    """The smallest share of a GPU of `memory` bytes that holds `needed`; 1 if none does."""
    return next((share for share in SHARES if needed <= share * memory), 1.0)


def memory_needed(fit: FitConfig, data_bytes: int) -> int:
    """Estimate the bytes that a training holds on its GPU at once.

    Everything that the forward pass of a batch computes is kept for the backward pass, which adds
    about as much in passing.
    """
    with torch.device("meta"):
        model = create_model(
            fit.model, head=fit.head, image_size=fit.image_size, **fit.model_kwargs
        )
        L = torch.empty(2, 1, fit.image_size, fit.image_size)
    with _Outputs() as outputs:
        model.raw(L)
    parameters = sum(parameter.numel() for parameter in model.parameters())
    activations = 2 * outputs.bytes // len(L) * fit.batch_size
    needed = _MARGIN * (_BYTES_PER_PARAMETER * parameters + activations)
    return int(needed) + data_bytes + _CONTEXT_BYTES


def smallest_gpu() -> int | None:
    """Memory in bytes of the smallest GPU that Ray is connected to; None if none tells it."""
    measure = ray.remote(num_cpus=0, num_gpus=0.01)(_gpu_memory)
    nodes = [node for node in ray.nodes() if node["Alive"] and node["Resources"].get("GPU", 0) > 0]
    answers = [
        measure.options(
            scheduling_strategy=NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
        ).remote()
        for node in nodes
    ]
    try:
        sizes: list[int] = ray.get(answers, timeout=_ANSWER_WITHIN_S) if answers else []
    except ray.exceptions.GetTimeoutError:
        return None  # others hold the GPUs
    return min(sizes, default=None)


def _gpu_memory() -> int:
    return int(torch.cuda.get_device_properties(0).total_memory)


class _Outputs(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Adds up what operations return; views of other tensors count once more, as a reserve."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.bytes = 0

    def __torch_dispatch__(
        self, function: Callable[..., Any], types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        result = function(*args, **(kwargs or {}))
        for leaf in tree_leaves(result):
            if isinstance(leaf, torch.Tensor):
                self.bytes += leaf.numel() * leaf.element_size()
        return result


def _size_of(data: TaskData) -> int:
    arrays = [
        array
        for split in (data.train, data.val)
        for array in (split.L, split.a, split.b, split.mean_ab)
        if array is not None
    ]
    return sum(int(array.nbytes) for array in arrays)
