"""Commands in messages, as they can be pasted into a shell."""

from __future__ import annotations

import shlex
from collections.abc import Mapping

from tuning.utils.redaction import HIDDEN, redact


def shell_command(*words: str, variables: Mapping[str, str] | None = None) -> str:
    """A command in backquotes, after variables of the environment, quoted for a shell.

    User names and passwords in URLs are replaced by stars, and then it says so.
    """
    given = [f"{name}={shlex.quote(redact(value))}" for name, value in (variables or {}).items()]
    line = " ".join([*given, *(shlex.quote(redact(word)) for word in words)])
    note = f" (with the user name and password in place of {HIDDEN})" if HIDDEN in line else ""
    return f"`{line}`{note}"
