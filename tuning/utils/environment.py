"""Environment variables that must be set before Ray or MLflow is imported."""

from __future__ import annotations

import os
import secrets
import sys

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
    # Ray's own experiment state is never read: write it at most once an hour.
    "TUNE_GLOBAL_CHECKPOINT_S": "3600",
    # The driver does not need the metrics that were reported with a checkpoint.
    "TUNE_ONLY_STORE_CHECKPOINT_SCORE_ATTRIBUTE": "1",
    # Trials of CPU launches must not see the GPUs that other trials were given.
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "1",
}
# Where Ray looks for the user's own token.
_TOKENS = {"RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH", "RAY_ENABLE_K8S_TOKEN_AUTH"}
_TOKEN_FILE = "~/.ray/auth_token"


def set_defaults() -> None:
    """Set what the user has not set. Processes started from here inherit it."""
    for name, value in _DEFAULTS.items():
        os.environ.setdefault(name, value)
    if "ray" not in sys.modules:
        _guard_ray()


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
