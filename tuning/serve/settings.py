"""Who may use the server, and how much of it."""

from __future__ import annotations

import dataclasses
import ipaddress
import os
from pathlib import Path

from data_prep.decode import MAX_PIXELS
from tuning.errors import ChromatuneError

TOKEN_VARIABLE = "CHROMATUNE_SERVE_TOKEN"
_LOOPBACK_NAMES = ("localhost", "127.0.0.1", "[::1]")
_SHORTEST_TOKEN = 16


@dataclasses.dataclass(frozen=True)
class ServeSettings:
    """Limits of the server, and the names by which it may be called.

    A request is refused if its Host is none of `hosts`, which also keeps pages of other sites from
    reaching the server through a name of theirs; with a `token`, if it does not bear it. At most
    `max_waiting` pictures are held at once, of which `workers` are being colorized.
    """

    hosts: frozenset[str] = frozenset(_LOOPBACK_NAMES)
    token: str | None = None
    max_bytes: int = 20_000_000
    max_pixels: int = MAX_PIXELS
    max_waiting: int = 16
    workers: int = 2
    upload_seconds: float = 60.0


def check_hosts(host: str, names: list[str], token: str | None) -> frozenset[str]:
    """The names that requests may call a server on `host` by.

    Anyone who can reach an address other than loopback can use the server: ChromatuneError demands
    a token and the names it is reached by.
    """
    if is_loopback(host):
        return frozenset((*_LOOPBACK_NAMES, *map(str.lower, names)))
    if not names or token is None:
        raise ChromatuneError(
            f"--host {host} opens the server to others: it needs --allowed-hosts NAME, the name or "
            f"address they reach it by, and a token in {TOKEN_VARIABLE} or --token-file"
        )
    return frozenset((*_LOOPBACK_NAMES, *map(str.lower, names)))


def read_token(file: Path | None) -> str | None:
    """The token in `file`, else in the environment; None where there is none.

    Never an option of its own: other users of the machine see a command's words. ChromatuneError if
    it is short enough to be guessed or cannot be sent in a header.
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
    if (
        len(token) < _SHORTEST_TOKEN
        or not token.isascii()
        or not token.isprintable()
        or " " in token
    ):
        raise ChromatuneError(
            f"the token must be at least {_SHORTEST_TOKEN} letters, digits or signs without "
            f"spaces: `python -c 'import secrets; print(secrets.token_urlsafe())'` makes one"
        )
    return token


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach `host`."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
