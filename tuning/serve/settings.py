"""Who may use the server, and how much of it."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path

from data_prep.decode import MAX_PIXELS
from tuning.errors import ChromatuneError
from tuning.utils.hosts import is_loopback

TOKEN_VARIABLE = "CHROMATUNE_SERVE_TOKEN"
_LOOPBACK_NAMES = ("localhost", "127.0.0.1", "[::1]")
_MIN_TOKEN_LENGTH = 16


@dataclasses.dataclass(frozen=True)
class ServeSettings:
    """Limits of the server, and the hostnames that it answers to.

    Checking the Host header also keeps a web page from reaching the server through a name of its
    own. With a `token`, requests must carry it. The queue holds `max_waiting` images, of which
    `workers` are being colorized.
    """

    hosts: frozenset[str] = frozenset(_LOOPBACK_NAMES)
    token: str | None = None
    max_bytes: int = 20_000_000
    max_pixels: int = MAX_PIXELS
    max_waiting: int = 16
    workers: int = min(4, len(os.sched_getaffinity(0)))  # decoding and encoding use a core each
    upload_seconds: float = 60.0


def check_hosts(host: str, names: list[str], token: str | None) -> frozenset[str]:
    """The hostnames that a server listening on `host` answers to.

    ChromatuneError if others can reach it and there is no token, or no name that they use.
    """
    if not is_loopback(host) and (not names or token is None):
        raise ChromatuneError(
            f"--host {host} opens the server to others: it requires --allowed-hosts NAME, the name "
            f"or address they reach it by, and a token in {TOKEN_VARIABLE} or --token-file"
        )
    for name in names:
        if "*" in name:
            raise ChromatuneError(f"--allowed-hosts: '{name}' is a pattern, give plain names")
    return frozenset((*_LOOPBACK_NAMES, *map(str.lower, names)))


def read_token(file: Path | None) -> str | None:
    """The bearer token in `file`, else in the environment, else None.

    It is no option, because other users of the machine see the words of a command. ChromatuneError
    if it is short enough to be guessed or cannot be sent in a header.
    """
    if file is None:
        text = os.environ.get(TOKEN_VARIABLE)
    else:
        try:
            text = file.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise ChromatuneError(f"--token-file {file} cannot be read: {error}") from None
    if text is None:
        return None
    token = text.strip()
    sendable = token.isascii() and token.isprintable() and " " not in token
    if len(token) < _MIN_TOKEN_LENGTH or not sendable:
        raise ChromatuneError(
            f"the token must be at least {_MIN_TOKEN_LENGTH} ASCII letters, digits or symbols "
            f"without spaces: `python -c 'import secrets; print(secrets.token_urlsafe())'` makes "
            f"one"
        )
    return token
