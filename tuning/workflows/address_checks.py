"""Checks the addresses in a launch folder, which may come from somebody else.

A Ray cluster runs any code in the processes that join it, and a tracking server receives the
credentials in the environment, which may be meant for another one.
"""

from __future__ import annotations

import os
from urllib.parse import urlsplit

from tuning.errors import ChromatuneError
from tuning.launch.folder import Launch
from tuning.launch.outcomes import has_ended
from tuning.utils.addresses import CREDENTIALS
from tuning.utils.hosts import is_loopback
from tuning.utils.redaction import HIDDEN


def store_of(launch: Launch, option: str | None, backend: str | None = None) -> str | None:
    """The tracking URI to resume with: `option` or MLFLOW_TRACKING_URI, else the launch's own.

    A launch that was not tracked gets the default store, unless it is trained further by the serial
    `backend`. Raises ChromatuneError if the launch's own had a password, which is not stored, or if
    it is on another machine and would receive credentials of the environment.
    """
    from tuning.tracking.address import tracking_uri

    if option is None and "MLFLOW_TRACKING_URI" not in os.environ:
        option = launch.tracking_uri
        if not option:
            is_serial = (backend or launch.config.resources.backend) == "serial"
            is_over = all(has_ended(launch.storage, training) for training in launch.trainings)
            return None if is_serial and not is_over else tracking_uri(None)
        if HIDDEN in option:
            raise ChromatuneError(
                f"launch {launch.launch_id} is tracked at {option}, whose password is not stored: "
                f"give the whole address with --tracking-uri or MLFLOW_TRACKING_URI"
            )
        known = [name for name in CREDENTIALS if name in os.environ]
        if known and not _is_here(urlsplit(option).hostname):
            raise ChromatuneError(
                f"launch {launch.launch_id} is tracked at {option}, which would receive "
                f"{known[0]}: confirm it with --tracking-uri, or name another store"
            )
    return tracking_uri(option)


def cluster_of(launch: Launch, option: str | None) -> str | None:
    """The Ray cluster to resume on: `option` or RAY_ADDRESS, else the launch's own.

    Raises ChromatuneError if the launch's own is on another machine.
    """
    named = option or os.environ.get("RAY_ADDRESS")
    address = named or launch.config.address
    if named is None and address is not None and not _is_here(_host(address)):
        raise ChromatuneError(
            f"launch {launch.launch_id} ran on the Ray cluster at {address}: name it with "
            f"--address if you trust it, or another one, or `--address local`"
        )
    return address


def _host(address: str) -> str:
    return address.rpartition("://")[2].rpartition(":")[0] or address


def _is_here(host: str | None) -> bool:
    """Whether `host` is this machine; a file has none."""
    return not host or host in ("auto", "local") or is_loopback(host)
