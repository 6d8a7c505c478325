"""Ray: start or join it, and find out what a trial can be given."""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import ray
from ray.autoscaler.sdk import request_resources
from ray.tune.execution import class_cache
from rich.console import Console

from tuning.config.schema import ResourcesConfig
from tuning.errors import ChromatuneError
from tuning.utils import provenance

_TRIALS_PER_GPU = 4
_ANSWER_WITHIN_S = 5
_NODE_WITHIN_S = 900
_LOOK_EVERY_S = 2.0


@dataclasses.dataclass(frozen=True)
class TrialResources:
    """What Ray sets aside for one trial, and how many fit at once."""

    cpus: float
    gpus: float
    slots: int


_lasting: contextlib.ExitStack | None = None
_joined = False  # a cluster, that is: not a Ray of our own


@contextlib.contextmanager
def lasting() -> Iterator[None]:
    """Let a Ray of our own that `connected` starts herein serve its later calls too."""
    global _lasting
    with contextlib.ExitStack() as end:
        _lasting = end
        try:
            yield
        finally:
            _lasting = None


@contextlib.contextmanager
def connected(address: str | None) -> Iterator[None]:
    """Join the cluster at `address` (or RAY_ADDRESS), else start a Ray of our own.

    Raises ChromatuneError within seconds if there is no such cluster, or if Ray does not start.
    """
    global _joined
    address = address or os.environ.get("RAY_ADDRESS") or "local"
    # Ray prints its daemons' complaints on stdout, where only results belong; a trial that died is
    # told by the runner, with Ray's reason.
    ray._private.worker._worker_logs_enabled = False
    # Ray shows everybody who reaches the cluster the command line of each of its drivers.
    ray._private.utils.get_entrypoint_name = provenance.command
    quiet = {"log_to_driver": False, "logging_level": logging.ERROR, "ignore_reinit_error": True}
    if ray.is_initialized():
        yield
        return
    try:
        if address != "local":
            _check_answers(address)
            ray.init(address=address, **quiet)
        else:
            # Trials on this machine inherit the environment. What Ray Tune hands on of it, keys of
            # buckets too, Ray would log; and it would keep trials from the workers that Ray starts
            # at first, one for each slot.
            class_cache.ENV_VARS_TO_PROPAGATE.clear()
            class_cache.DEFAULT_ENV_VARS.clear()
            # "local", since Ray would otherwise join whatever `ray start` has left on this machine.
            ray.init(
                address="local",
                num_cpus=len(os.sched_getaffinity(0)),
                include_dashboard=False,
                _node_ip_address="127.0.0.1",
                **quiet,
            )
    except (ConnectionError, ValueError, ray.exceptions.AuthenticationError) as error:
        first_line = str(error).splitlines()[0].rstrip(".")
        raise ChromatuneError(
            f"cannot join a Ray cluster at {address}: {first_line}; start one with "
            f"`ray start --head`, set RAY_AUTH_MODE and RAY_AUTH_TOKEN as there if it asks for a "
            f"token, or leave out --address to run on this machine"
        ) from None
    except Exception as error:
        if type(error) is not Exception:
            raise
        # Ray's word for daemons that are not up within its half a minute has no type of its own.
        raise ChromatuneError(
            "Ray could not start on this machine in time, which happens where other work takes all "
            "of its processors or memory: run the command again, or free some first"
        ) from None
    _joined = address != "local"
    with contextlib.ExitStack() as end:
        (_lasting if _lasting and address == "local" else end).callback(ray.shutdown)
        yield


def await_resources(wanted: ResourcesConfig, console: Console) -> None:
    """Where nodes come with the work, ask for one that holds a trial, and wait until it is there.

    Returns after a quarter of an hour also if none has come: `trial_resources` then says so.
    """
    if not may_grow() or _fitting(wanted) is not None:
        return
    bundle = {"CPU": wanted.cpus_per_trial or 1, "GPU": wanted.gpus_for("") or 0}
    bundle = {name: amount for name, amount in bundle.items() if amount > 0}
    shape = " and ".join(f"{amount:g} {name}" for name, amount in bundle.items())
    console.print(
        f"no node is there yet for a trial of {shape}: waiting for the autoscaler to add one, "
        f"{_NODE_WITHIN_S // 60} minutes at most",
        soft_wrap=True,
    )
    deadline = time.monotonic() + _NODE_WITHIN_S
    request_resources(bundles=[bundle])
    try:
        while _fitting(wanted) is None and time.monotonic() < deadline:
            time.sleep(_LOOK_EVERY_S)
    finally:
        request_resources(bundles=[])  # it would hold nodes after the launch, too


def has_joined() -> bool:
    """Whether this is a cluster that was there before, and not a Ray of our own."""
    return _joined


def may_grow() -> bool:
    """Whether an autoscaler may add nodes: on a head that `ray up` made, as Ray Tune tells, or in
    a pod of KubeRay's.
    """
    launched = Path("~/ray_bootstrap_config.yaml").expanduser().exists()
    return _joined and (launched or "RAY_CLUSTER_NAME" in os.environ)


def trial_resources(wanted: ResourcesConfig) -> TrialResources:
    """Fit a trial to the cluster; ChromatuneError if no node could ever hold one.

    By default a trial gets one core, and on a cluster with GPUs a quarter of one: nodes are
    compared one by one, because a trial does not span nodes.
    """
    found = _fitting(wanted)
    if found is None:
        nodes = _living()
        has = "; ".join(
            f"{node.get('CPU', 0):g} CPU and {node.get('GPU', 0):g} GPU" for node in nodes
        )
        cpus, gpus = _amounts(wanted, nodes)
        raise ChromatuneError(
            f"no node can ever run a trial of {cpus:g} CPU and {gpus:g} GPU; the nodes have: "
            f"{has}; lower --cpus-per-trial or --gpus-per-trial"
        )
    return found


def _fitting(wanted: ResourcesConfig) -> TrialResources | None:
    """What a trial gets on the nodes that there are; None if none of them could hold it."""
    nodes = _living()
    cpus, gpus = _amounts(wanted, nodes)
    slots = sum(_fits(node, cpus, gpus) for node in nodes)
    if slots == 0:
        return None
    return TrialResources(cpus, gpus, min(slots, wanted.max_concurrent_trials or slots))


def _amounts(wanted: ResourcesConfig, nodes: list[dict[str, float]]) -> tuple[float, float]:
    """CPUs and GPUs of a trial, as wanted or by default."""
    has_gpus = any(node.get("GPU", 0) > 0 for node in nodes)
    gpus = wanted.gpus_for("")
    if gpus is None:
        gpus = 1 / _TRIALS_PER_GPU if has_gpus else 0.0
    cpus = wanted.cpus_per_trial
    if cpus is None:
        cpus = min(
            (_cpu_share(node, gpus) for node in nodes if node.get("CPU", 0) > 0), default=1.0
        )
    return cpus, gpus


def _living() -> list[dict[str, float]]:
    return [node["Resources"] for node in ray.nodes() if node["Alive"]]


def _check_answers(address: str) -> None:
    """Knock at a `host:port`: Ray itself would try for minutes where nobody listens."""
    host, _, port = address.rpartition(":")
    if not host or "/" in host or not port.isdecimal():
        return
    try:
        socket.create_connection((host.strip("[]"), int(port)), _ANSWER_WITHIN_S).close()
    except (OSError, OverflowError) as error:
        raise ConnectionError(str(error)) from None


def _cpu_share(node: dict[str, float], gpus: float) -> float:
    """One core, or less where a node has more GPU shares than cores."""
    if gpus <= 0 or node.get("GPU", 0) <= 0:
        return 1.0
    return min(1.0, node["CPU"] / (node["GPU"] / gpus))


def _fits(node: dict[str, float], cpus: float, gpus: float) -> int:
    limits = [node.get("CPU", 0) / cpus]
    if gpus > 0:
        limits.append(node.get("GPU", 0) / gpus)
    return int(min(limits) + 1e-9)
