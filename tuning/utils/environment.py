"""The environment: what must be set before Ray or MLflow is imported, and what cannot be used."""

from __future__ import annotations

import contextlib
import logging
import os
import pwd
import re
import secrets
import sys
import tempfile
from pathlib import Path

from tuning.errors import ChromatuneError

_DEFAULTS = {
    # No telemetry unless the user asks for it.
    "RAY_USAGE_STATS_ENABLED": "0",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "1",
    # The project has its own progress tables and loggers.
    "RAY_AIR_NEW_OUTPUT": "0",
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    # A trial that fails before its first validation reports no metric to a scheduler.
    "TUNE_DISABLE_STRICT_METRIC_CHECKING": "1",
    # By default Ray fails a trial that does not end within 2 s of being stopped.
    "TUNE_FUNCTION_THREAD_TIMEOUT_S": "60",
    # By default the worker of a suggested trial starts only when the trial before runs. Ours are
    # suggested while there is room, so as many may wait as of Ray Tune's own suggestions.
    "TUNE_MAX_PENDING_TRIALS_PG": "200",
    # Ray's own experiment state is never read: write it at most once an hour.
    "TUNE_GLOBAL_CHECKPOINT_S": "3600",
    # The driver does not need the metrics that were reported with a checkpoint.
    "TUNE_ONLY_STORE_CHECKPOINT_SCORE_ATTRIBUTE": "1",
    # Trials of CPU launches must not see the GPUs that other trials were given.
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "1",
}
# Variables that hold a path, and those that libraries parse as numbers.
_PATH = re.compile(r"(?i)(?:dir|path|home|root|file|folder|location|te?mp)$")
_NUMERIC_NAME = re.compile(
    r"(?i)(?:omp|mkl|openblas|numexpr|ray|tune|mlflow|opencv)_\w*"
    r"(?:threads|_s|_ms|seconds|timeout|retries|factor|workers|size|bytes|pixels|limit|threshold"
    r"|count|interval|length|_pg)$|(?i:tune_(?:disable|print)_|ray_air_full_|ray_chdir_)"
)
# OMP_NUM_THREADS may have a number for each level of nesting, sizes may have a unit, and Ray
# chooses where a variable is "auto".
_NUMBER = re.compile(r"(?i)auto|[+-]?\d*\.?\d+(?:e[+-]?\d+)?[kmg]?b?(?:,\d+)*")
_NARROWEST = 40  # columns
# Room for what Ray adds to its temporary folder, in the 107 bytes of a socket's path.
_ADDED = "/ray/session_2026-01-01_00-00-00_000000_4194304/sockets/plasma_store"
_LONGEST_SOCKET_FOLDER = 107 - len(_ADDED)
# Where Ray looks for the user's own token.
_TOKENS = {"RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH", "RAY_ENABLE_K8S_TOKEN_AUTH"}
_TOKEN_FILE = "~/.ray/auth_token"


def set_defaults() -> None:
    """Set what the user has not set. Processes started from here inherit it."""
    _set_user()
    _set_width()
    # It would report in two lines that it cannot write to a home folder.
    logging.getLogger("matplotlib").setLevel(logging.ERROR)
    for name, value in os.environ.items():
        if value.startswith("~") and _PATH.search(name):
            os.environ[name] = str(expanded(value))
    for name, value in _DEFAULTS.items():
        os.environ.setdefault(name, value)
    if "ray" not in sys.modules:
        _guard_ray()


def check() -> None:
    """Raise ChromatuneError if the current folder or a variable of the environment is unusable."""
    try:
        Path.cwd()
    except OSError:
        raise ChromatuneError(
            "the current folder was deleted or cannot be read: change to another one with `cd`"
        ) from None
    try:
        tempfile.gettempdir()
    except OSError as error:
        raise ChromatuneError(
            f"no folder for temporary files can be written: set TMPDIR to one ({error.strerror})"
        ) from None
    for name, value in list(os.environ.items()):
        if not _NUMERIC_NAME.match(name):
            continue
        if not value:
            del os.environ[name]
        elif not _NUMBER.fullmatch(value.strip()):
            raise ChromatuneError(
                f"the environment variable {name} must be a number, but is '{value}': correct it, "
                f"or remove it with `unset {name}`"
            )


def set_socket_folder() -> None:
    """Have a local Ray place its sockets where their paths are short enough.

    A long or unusable TMPDIR is replaced by /tmp; ChromatuneError if RAY_TMPDIR itself is too long.
    """
    named = os.environ.get("RAY_TMPDIR")
    folder = str(Path(named or tempfile.gettempdir()).absolute())
    if len(os.fsencode(folder)) > _LONGEST_SOCKET_FOLDER:
        if named:
            raise ChromatuneError(
                f"RAY_TMPDIR is {folder}, but the paths of Ray's sockets allow at most "
                f"{_LONGEST_SOCKET_FOLDER} bytes: set it to a shorter path, such as /tmp"
            )
        folder = "/tmp"
    os.environ["RAY_TMPDIR"] = folder


def expanded(path: str | Path) -> Path:
    """Replace a leading `~` or `~user`; like a shell, leave it where there is no such user."""
    with contextlib.suppress(RuntimeError):
        return Path(path).expanduser()
    return Path(path)


def _set_user() -> None:
    """Give a user without an entry in the system's list a name and a home folder.

    Containers run such users, and libraries fail where they ask for either.
    """
    try:
        pwd.getpwuid(os.getuid())
    except KeyError:
        if not any(os.environ.get(name) for name in ("LOGNAME", "USER", "LNAME", "USERNAME")):
            os.environ["LOGNAME"] = str(os.getuid())
        os.environ.setdefault("HOME", "/")


def _set_width() -> None:
    """Raise a COLUMNS in which no line can be read, and ignore one of 0, as a lost terminal has."""
    width = os.environ.get("COLUMNS", "")
    if width.isdecimal() and int(width) < _NARROWEST:
        del os.environ["COLUMNS"]
        if int(width):
            os.environ["COLUMNS"] = str(_NARROWEST)


def _guard_ray() -> None:
    """Require a token of all clients: Ray's daemons listen on every address of the machine.

    Ray reads the mode when it is imported: set later, its daemons would refuse this process.
    """
    os.environ.setdefault("RAY_AUTH_MODE", "token")
    # Known only to this process and its children; a cluster without authentication ignores it.
    if not _TOKENS & os.environ.keys() and not _has_token_file():
        os.environ["RAY_AUTH_TOKEN"] = secrets.token_hex(32)


def _has_token_file() -> bool:
    # Not with pathlib, which raises where the home folder is unknown or closed to this user.
    return os.path.isfile(os.path.expanduser(_TOKEN_FILE))  # noqa: PTH111, PTH113
