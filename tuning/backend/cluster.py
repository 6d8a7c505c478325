"""Starts or joins Ray."""

from __future__ import annotations

import contextlib
import functools
import logging
import os
import re
import signal
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from typing import Any

import ray
from ray._private.services import canonicalize_bootstrap_address
from ray.job_config import JobConfig
from ray.tune.execution import class_cache

from chromatune import ROOT
from tuning.errors import ChromatuneError
from tuning.utils import environment, provenance
from tuning.utils.addresses import check_cluster
from tuning.utils.redaction import redact

_ANSWER_WITHIN_S = 5
# An end waits so long for a start that is still going on.
_STARTS_WITHIN_S = 15.0
_VARIABLE = "RAY_ADDRESS"
_LOCAL = "local"
# Ray sets both in the processes of `ray job submit`.
_OF_JOBS = "RAY_JOB_CONFIG_JSON_ENV_VAR"
# What HTTP/2, and so gRPC, begins with: a greeting, and from both sides a frame of settings.
_SETTINGS = bytes([0, 0, 0, 4, 0, 0, 0, 0, 0])
_HTTP2 = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + _SETTINGS
# Ray's words where the versions differ: first the cluster's, then this process's.
_VERSIONS = re.compile(r"Ray: (\S+)\s+Python: (\S+)")

_WITHOUT_MONITORS = functools.partial(
    ray._private.parameter.RayParams, no_monitor=True, include_log_monitor=False
)

_lock = threading.Lock()
_users = 0  # of a Ray of our own: blocks that keep it from ending
_own: _LocalRay | None = None
_joined = False  # a cluster, that is: not a Ray of our own


class _LocalRay:
    """Ray's daemons, started in a thread of their own: the kernel ends them with that thread."""

    def __init__(self) -> None:
        self.started: Future[None] = Future()
        self._ended = threading.Event()
        threading.Thread(target=self._run, name="ray", daemon=True).start()

    def stop(self) -> None:
        """Wait until all has started, and end it; what hangs ends with this process."""
        with contextlib.suppress(TimeoutError):
            if self.started.exception(_STARTS_WITHIN_S) is None:
                ray.shutdown()
            self._ended.set()

    def _run(self) -> None:
        try:
            _start()
        except BaseException as error:
            self.started.set_exception(error)
        else:
            self.started.set_result(None)
        self._ended.wait()


@contextlib.contextmanager
def lasting() -> Iterator[None]:
    """Keep a local Ray that starts within the block for all that needs one later in it."""
    global _users, _own
    with _lock:
        _users += 1
    try:
        yield
    finally:
        with _lock:
            _users -= 1
            if _users == 0 and _own is not None:
                ended, _own = _own, None
                ended.stop()


@contextlib.contextmanager
def starting(address: str | None) -> Iterator[None]:
    """Start a local Ray while the block goes on, for all that is `connected` in it; then stop it.

    Nothing is started if `address` (or RAY_ADDRESS) names a cluster, or if Ray runs already.
    """
    global _own
    with lasting():
        with _lock:
            if _own is None and _place(address) == _LOCAL and not ray.is_initialized():
                _own = _LocalRay()
        yield


@contextlib.contextmanager
def connected(address: str | None) -> Iterator[None]:
    """Join the cluster at `address` (or RAY_ADDRESS), else wait until a Ray of our own has started.

    Raises ChromatuneError within seconds if there is no such cluster, or if Ray does not start.
    """
    global _joined
    place = _place(address)
    with starting(address):
        if _own is not None and place == _LOCAL:
            _own.started.result()
            _joined = False
            yield
            return
    if ray.is_initialized():
        yield
        return
    source = _source(place)
    try:
        if place == "auto":  # what Ray has written down may be a cluster that is gone
            place = canonicalize_bootstrap_address(place) or place
        check_cluster(place, source)
        _check_answers(place)
        _init(address=place)
    except (OSError, RuntimeError, ValueError, ray.exceptions.RayError) as error:
        raise ChromatuneError(_cannot_join(place, source, error)) from None
    _joined = True
    try:
        yield
    finally:
        ray.shutdown()


def _place(address: str | None) -> str:
    return address or os.environ.get(_VARIABLE) or _LOCAL


def _start() -> None:
    """Start a Ray on this machine; ChromatuneError if that fails."""
    # Trials on this machine inherit the environment. What Ray Tune hands on of it, keys of buckets
    # too, Ray would log; and it would keep trials from the workers that Ray starts at first, one
    # for each slot.
    class_cache.ENV_VARS_TO_PROPAGATE.clear()
    class_cache.DEFAULT_ENV_VARS.clear()
    environment.set_socket_folder()
    try:
        with _hangup_blocked():
            _init(
                # "local", since Ray would otherwise join whatever `ray start` has left on this
                # machine.
                address=_LOCAL,
                num_cpus=len(os.sched_getaffinity(0)),
                include_dashboard=False,
                _node_ip_address="127.0.0.1",
            )
    except (OSError, RuntimeError, ValueError, ray.exceptions.RayError) as error:
        reason = redact(str(error).strip().partition("\n")[0])
        raise ChromatuneError(f"Ray could not start on this machine: {reason}") from None
    except Exception as error:
        if type(error) is not Exception:
            raise
        # Ray's word for daemons that are not up within its half a minute has no type of its own.
        raise ChromatuneError(
            "Ray could not start on this machine in time, which happens where other work takes all "
            "of its processors or memory: run the command again, or free some first"
        ) from None


def _init(**where: Any) -> None:
    # Ray prints its daemons' complaints on stdout, where only results belong; a trial that died is
    # told by the runner, with Ray's reason.
    ray._private.worker._worker_logs_enabled = False
    # A Ray of our own neither grows nor sends its logs on: two processes less to wait for.
    ray._private.parameter.RayParams = _WITHOUT_MONITORS
    # Ray shows everybody who reaches the cluster the command line of each of its drivers.
    ray._private.utils.get_entrypoint_name = provenance.command
    ray.init(
        **where,
        job_config=_OwnCodeFirst(),
        log_to_driver=False,
        logging_level=logging.ERROR,
        ignore_reinit_error=True,
    )


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


def _source(address: str) -> str:
    """What has named the cluster, for messages: nobody may have given an option."""
    if address != os.environ.get(_VARIABLE):
        return "the cluster address"
    return f"this job's {_VARIABLE}" if _OF_JOBS in os.environ else _VARIABLE


def _cannot_join(address: str, source: str, error: Exception) -> str:
    """Say in a line why, what has named the cluster, and how to do without it."""
    remedy = {
        "the cluster address": "`--address local` runs on this machine",
        _VARIABLE: f"{_VARIABLE} names it: if it is left over from other work, `unset {_VARIABLE}`",
    }.get(source, f"{source} names it")
    versions = _VERSIONS.findall(str(error))
    if len(versions) == 2:
        (ray_there, python_there), (ray_here, python_here) = versions
        return (
            f"the Ray cluster at {address} has Ray {ray_there} and Python {python_there}, but this "
            f"command has Ray {ray_here} and Python {python_here}: install the same ones on all "
            f"nodes and here, for example with `make install`; {remedy}"
        )
    reason = redact(str(error).strip().partition("\n")[0].rstrip(".") or type(error).__name__)
    return (
        f"cannot join a Ray cluster at {address}: {reason}; {remedy}; otherwise start one there "
        f"with `ray start --head`, or set RAY_AUTH_MODE and RAY_AUTH_TOKEN as there if it asks for "
        f"a token"
    )


def _check_answers(address: str) -> None:
    """Knock at a `host:port`: Ray itself would try for minutes where no cluster listens."""
    host, _, port = address.rpartition(":")
    if not host or "/" in host or os.environ.get("RAY_USE_TLS", "0") != "0":
        return
    try:
        with socket.create_connection((host.strip("[]"), int(port)), _ANSWER_WITHIN_S) as knock:
            knock.settimeout(_ANSWER_WITHIN_S)
            knock.sendall(_HTTP2)
            answer = knock.recv(len(_SETTINGS))
    except (OSError, OverflowError) as error:
        raise ConnectionError(str(error)) from None
    if answer[3:4] != _SETTINGS[3:4]:
        raise ConnectionError("what listens there is no Ray cluster")
