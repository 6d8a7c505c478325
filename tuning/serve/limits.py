"""Limits of the server, with their defaults."""

from __future__ import annotations

import dataclasses
import os

LOOPBACK_NAMES = ("localhost", "127.0.0.1", "[::1]")


@dataclasses.dataclass(frozen=True)
class ServeSettings:
    """Limits of the server, and the hostnames that it answers to.

    Checking the Host header also keeps a web page from reaching the server through a name of its
    own. With a `token`, requests must carry it. The queue holds `max_waiting` images, of which
    `workers` are being colorized.
    """

    hosts: frozenset[str] = frozenset(LOOPBACK_NAMES)
    token: str | None = None
    max_bytes: int = 20_000_000
    max_pixels: int = 50_000_000
    max_waiting: int = 16
    workers: int = min(4, len(os.sched_getaffinity(0)))  # decoding and encoding use a core each
    upload_seconds: float = 60.0
