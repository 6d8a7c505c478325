"""How much of a machine each trial gets, and how many fit at once."""

from __future__ import annotations

import dataclasses
import math
import os
import time
from collections.abc import Mapping, Sequence
from typing import Any

import ray
from ray import tune
from ray.autoscaler.sdk import request_resources

from tuning.backend.base import Log
from tuning.backend.cluster import has_joined
from tuning.config.schema import ResourcesConfig
from tuning.errors import ChromatuneError
from tuning.utils.environment import expanded

_TRIALS_PER_GPU = 4
_NODE_WITHIN_S = 900
_LOOK_EVERY_S = 2.0


@dataclasses.dataclass(frozen=True)
class TrialResources:
    """What Ray sets aside for one trial, and how many of these fit at once."""

    cpus: float
    gpus: float
    slots: int


class TrialShares:
    """Tells Ray what a trial needs by its model: `tune.with_resources` calls it."""

    def __init__(self, wanted: ResourcesConfig) -> None:
        self._wanted = wanted

    def __call__(self, config: Mapping[str, Any]) -> tune.PlacementGroupFactory:
        share = trial_resources(self._wanted, config["training"]["params"]["model"])
        return tune.PlacementGroupFactory([{"CPU": share.cpus, "GPU": share.gpus}])

    def has_room(self, models: Sequence[str]) -> bool:
        """Whether one more trial may begin beside running ones of `models`."""
        slots = {model: trial_resources(self._wanted, model).slots for model in set(models)}
        taken = math.fsum(1 / slots[model] for model in models)
        # Where nodes come with the work, one trial that waits makes them come.
        waiting = 1 / max(slots.values(), default=1) if may_grow() else 0.0
        return taken < 1 + waiting - 1e-9


def trial_resources(wanted: ResourcesConfig, model: str) -> TrialResources:
    """Fit a trial to the cluster; ChromatuneError if no node could ever hold one.

    By default a trial gets one core, and on a cluster with GPUs a quarter of one. Nodes are
    compared one by one, because a trial does not span nodes.
    """
    found = _fitting(wanted, model)
    if found is None:
        nodes = _living()
        has = "; ".join(
            f"{node.get('CPU', 0):g} CPU and {node.get('GPU', 0):g} GPU" for node in nodes
        )
        cpus, gpus = _amounts(wanted, model, nodes)
        raise ChromatuneError(
            f"no node can ever run a trial of {cpus:g} CPU and {gpus:g} GPU; the nodes have: "
            f"{has}; lower --cpus-per-trial or --gpus-per-trial"
        )
    return found


def wait_for_nodes(wanted: ResourcesConfig, model: str, log: Log) -> None:
    """Ask an autoscaler for a node that holds a trial of `model`, and wait until it is there.

    Returns at once where nodes do not come with the work, and after a quarter of an hour also if
    none has come: `trial_resources` then says so.
    """
    if not may_grow() or _fitting(wanted, model) is not None:
        return
    bundle = {"CPU": wanted.cpus_per_trial or 1, "GPU": wanted.gpus_for(model) or 0}
    bundle = {name: amount for name, amount in bundle.items() if amount > 0}
    shape = " and ".join(f"{amount:g} {name}" for name, amount in bundle.items())
    log(
        f"no node can run a trial of {shape} yet: waiting for the autoscaler to add one, "
        f"{_NODE_WITHIN_S // 60} minutes at most"
    )
    deadline = time.monotonic() + _NODE_WITHIN_S
    request_resources(bundles=[bundle])
    try:
        while _fitting(wanted, model) is None and time.monotonic() < deadline:
            time.sleep(_LOOK_EVERY_S)
    finally:
        request_resources(bundles=[])  # it would hold nodes after the launch, too


def may_grow() -> bool:
    """Whether an autoscaler may add nodes: on a head started by `ray up`, or in a KubeRay pod."""
    launched = expanded("~/ray_bootstrap_config.yaml").exists()
    return has_joined() and (launched or "RAY_CLUSTER_NAME" in os.environ)


def _fitting(wanted: ResourcesConfig, model: str) -> TrialResources | None:
    """What a trial gets on the nodes that there are; None if none of them could hold it."""
    nodes = _living()
    cpus, gpus = _amounts(wanted, model, nodes)
    slots = sum(_fits(node, cpus, gpus) for node in nodes)
    if slots == 0:
        return None
    return TrialResources(cpus, gpus, min(slots, wanted.max_concurrent_trials or slots))


def _amounts(
    wanted: ResourcesConfig, model: str, nodes: Sequence[Mapping[str, float]]
) -> tuple[float, float]:
    """CPUs and GPUs of a trial, as wanted or by default."""
    gpus = wanted.gpus_for(model)
    if gpus is None:
        has_gpus = any(node.get("GPU", 0) > 0 for node in nodes)
        gpus = 1 / _TRIALS_PER_GPU if has_gpus else 0.0
    cpus = wanted.cpus_per_trial
    if cpus is None:
        shares = [_cpu_share(node, gpus) for node in nodes if node.get("CPU", 0) > 0]
        cpus = min(shares, default=1.0)
    return cpus, gpus


def _cpu_share(node: Mapping[str, float], gpus: float) -> float:
    """One core, or less where a node has more GPU shares than cores."""
    if gpus <= 0 or node.get("GPU", 0) <= 0:
        return 1.0
    return min(1.0, node["CPU"] / (node["GPU"] / gpus))


def _fits(node: Mapping[str, float], cpus: float, gpus: float) -> int:
    limits = [node.get("CPU", 0) / cpus]
    if gpus > 0:
        limits.append(node.get("GPU", 0) / gpus)
    return int(min(limits) + 1e-9)


def _living() -> list[dict[str, float]]:
    return [node["Resources"] for node in ray.nodes() if node["Alive"]]
