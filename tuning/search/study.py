"""The Optuna study behind a search: opened or made, and rejected if it is another search's."""

from __future__ import annotations

import json
import os
import textwrap
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import optuna
from optuna.exceptions import OptunaError
from optuna.storages import BaseStorage, JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend, JournalFileSymlinkLock
from sqlalchemy.exc import SQLAlchemyError

from tuning.config.search import absolute_storage
from tuning.errors import ChromatuneError
from tuning.search.objectives import Objective
from tuning.utils.redaction import redact

JOURNAL = "study.journal"
_PREFIX = "chromatune."
_ENTRY = b'{"op_code"'  # the beginning of each entry of a journal


def open_study(
    storage: str, name: str, objectives: Sequence[Objective], facts: Mapping[str, Any]
) -> optuna.Study:
    """Open the study `name`, or make it, in a journal file or at a database's URL.

    `facts` say what is searched; JSON-able, they are stored with it. Raises ChromatuneError if the
    storage cannot be used, if the study has other objectives or facts, or if another program made
    it.
    """
    directions = [objective.direction for objective in objectives]
    where = f"the study '{name}' in {redact(storage)}"
    with _errors_of(storage), quiet():
        study = optuna.create_study(
            storage=_storage(storage), study_name=name, directions=directions, load_if_exists=True
        )
        known = {key: value for key, value in study.user_attrs.items() if key.startswith(_PREFIX)}
        is_new = not study.get_trials(deepcopy=False) and directions == [
            direction.name.lower() for direction in study.directions
        ]
        if not known and not is_new:
            raise ChromatuneError(
                f"{where} was made by another program: choose another --study-name"
            )
        for key, value in {"objectives": list(map(str, objectives)), **facts}.items():
            found = known.get(f"{_PREFIX}{key}", value)
            if found != value:
                raise ChromatuneError(
                    f"{where} has another {key} ({textwrap.shorten(str(found), 60)}, not "
                    f"{textwrap.shorten(str(value), 60)}): choose another --study-name, or the "
                    f"configuration that it began with"
                )
            if f"{_PREFIX}{key}" not in known:
                study.set_user_attr(f"{_PREFIX}{key}", value)
        if study.metric_names is None:
            study.set_metric_names([objective.name for objective in objectives])
    return study


@contextmanager
def _errors_of(storage: str) -> Iterator[None]:
    """Turn the errors of a study's storage into one line."""
    try:
        yield
    except (OSError, SQLAlchemyError, OptunaError, ImportError, ValueError, KeyError) as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise ChromatuneError(
            f"cannot use the study storage {redact(storage)}: {redact(reason)}; give "
            f"--study-storage a journal file or a database such as sqlite:///FILE"
        ) from None


@contextmanager
def quiet(level: int = optuna.logging.WARNING) -> Iterator[None]:
    """Silence Optuna's log messages and its warnings of experimental features."""
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(level)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            yield
    finally:
        optuna.logging.set_verbosity(before)


def study_location(option: str | None, launch_uri: str) -> str:
    """Where the study is: `option`, else a journal file in the launch's folder.

    Raises ChromatuneError if that folder is not on a local disk.
    """
    if option is not None:
        return absolute_storage(option)
    if "://" in launch_uri:
        raise ChromatuneError(
            f"a journal file cannot be in {launch_uri}: give --study-storage a local file or a "
            f"database"
        )
    return f"{launch_uri}/{JOURNAL}"


def _storage(location: str) -> BaseStorage:
    if "://" in location:
        return RDBStorage(location)
    path = Path(location)
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.exists():
        _mend(path)
    return JournalStorage(JournalFileBackend(str(path)))


def _mend(path: Path) -> None:
    """Remove entries that a killed process or a full disk left unfinished.

    The next entry would be appended to an unfinished last line. Where that has happened, only the
    whole entry at the end of the line is kept: nobody has read the other.
    """
    lock = JournalFileSymlinkLock(str(path))
    lock.acquire()
    try:
        content = path.read_bytes()
        if content[:1] not in (b"", b"{"):
            raise ValueError(f"{path} is not a journal of Optuna's")
        lines = content[: content.rfind(b"\n") + 1].splitlines(keepends=True)
        mended = b"".join(
            line if _is_json(line) else line[max(0, line.rfind(_ENTRY)) :] for line in lines
        )
        if mended != content:
            scratch = path.with_name(f"{path.name}.{os.getpid()}.tmp")
            scratch.write_bytes(mended)
            scratch.replace(path)
    finally:
        lock.release()


def _is_json(line: bytes) -> bool:
    try:
        json.loads(line)
    except ValueError:
        return False
    return True
