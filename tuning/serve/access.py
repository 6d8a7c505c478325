"""Who may use the server: the hostnames that it answers to, and its token."""

from __future__ import annotations

import os
from pathlib import Path

from tuning.errors import ChromatuneError
from tuning.serve.limits import LOOPBACK_NAMES
from tuning.utils.hosts import is_loopback

TOKEN_VARIABLE = "CHROMATUNE_SERVE_TOKEN"
_MIN_TOKEN_LENGTH = 16


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
    return frozenset((*LOOPBACK_NAMES, *map(str.lower, names)))


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
