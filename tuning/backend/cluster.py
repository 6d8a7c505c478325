"""Starts or joins Ray."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import socket
from collections.abc import Iterator
from typing import Any

import ray
from ray.job_config import JobConfig
from ray.tune.execution import class_cache

from chromatune import ROOT
from tuning.errors import ChromatuneError
from tuning.utils import environment, provenance

_ANSWER_WITHIN_S = 5


_lasting: contextlib.ExitStack | None = None
_joined = False  # a cluster, that is: not a Ray of our own


@contextlib.contextmanager
def lasting() -> Iterator[None]:
    """Keep a local Ray that `connected` starts within the block for its later calls in it."""
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
    common = {
        "job_config": _OwnCodeFirst(),
        "log_to_driver": False,
        "logging_level": logging.ERROR,
        "ignore_reinit_error": True,
    }
    if ray.is_initialized():
        yield
        return
    try:
        if address != "local":
            _check_answers(address)
            ray.init(address=address, **common)
        else:
            # Trials on this machine inherit the environment. What Ray Tune hands on of it, keys of
            # buckets too, Ray would log; and it would keep trials from the workers that Ray starts
            # at first, one for each slot.
            class_cache.ENV_VARS_TO_PROPAGATE.clear()
            class_cache.DEFAULT_ENV_VARS.clear()
            # "local", since Ray would otherwise join whatever `ray start` has left on this machine.
            environment.set_socket_folder()
            with _hangup_blocked():
                ray.init(
                    address="local",
                    num_cpus=len(os.sched_getaffinity(0)),
                    include_dashboard=False,
                    _node_ip_address="127.0.0.1",
                    **common,
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


@contextlib.contextmanager
def _hangup_blocked() -> Iterator[None]:
    """Let the processes that Ray starts outlive a closed terminal: its driver has to stop them."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGHUP})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


class _OwnCodeFirst(JobConfig):
    """Lets workers import `tuning` from where the driver has, if it is there.

    Ray puts the driver's current folder in front of the workers' path, with all that lies in it.
    """

    def _serialize(self) -> Any:
        self._py_driver_sys_path.append(ROOT)  # each is put in front of those before it
        return super()._serialize()


def has_joined() -> bool:
    """Whether this is a cluster that was there before, and not a Ray of our own."""
    return _joined


def _check_answers(address: str) -> None:
    """Knock at a `host:port`: Ray itself would try for minutes where nobody listens."""
    host, _, port = address.rpartition(":")
    if not host or "/" in host or not port.isdecimal():
        return
    try:
        socket.create_connection((host.strip("[]"), int(port)), _ANSWER_WITHIN_S).close()
    except (OSError, OverflowError) as error:
        raise ConnectionError(str(error)) from None
