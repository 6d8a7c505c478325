"""Leaves the caller's process as it was: its environment, its signal handlers, its loggers."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import threading
import warnings
from collections.abc import Iterator

from data_prep import DataError
from models import ModelError
from tuning.errors import ChromatuneError
from tuning.utils import environment
from tuning.utils.redaction import redact

# What earlier calls have set: Ray reads its token once in a process.
_earlier: dict[str, str] = {}


@contextlib.contextmanager
def unchanged() -> Iterator[None]:
    """Set what Ray and MLflow need during the block, and restore what they and it have changed.

    That is the environment, the levels of loggers and the handlers of SIGINT and SIGTERM.
    Every error that a user can cause is raised as ChromatuneError, without passwords.
    """
    logging.getLogger("matplotlib")  # its level is set, too
    levels = {logger: logger.level for logger in _loggers()}
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    before = dict(os.environ)
    for name, value in _earlier.items():
        os.environ.setdefault(name, value)
    try:
        environment.set_defaults()
        environment.check()
        with warnings.catch_warnings():
            # A bar of tqdm's, which Optuna and MLflow import and no notebook gets to see.
            warnings.filterwarnings("ignore", "IProgress not found")
            yield
    except (ChromatuneError, DataError, ModelError) as error:
        raise ChromatuneError(redact(str(error))) from None
    finally:
        for name in set(os.environ) - set(before):
            _earlier[name] = os.environ.pop(name)
        for name, value in before.items():
            if os.environ.get(name) != value:
                os.environ[name] = value
        for logger, level in levels.items():
            if logger.level != level:
                logger.setLevel(level)
        if threading.current_thread() is threading.main_thread():
            # Ray keeps its own, which ignore the next Ctrl-C.
            for number, handler in handlers.items():
                if handler is not None:
                    signal.signal(number, handler)


def _loggers() -> list[logging.Logger]:
    named = list(logging.root.manager.loggerDict.values())
    return [logging.root, *(logger for logger in named if isinstance(logger, logging.Logger))]
