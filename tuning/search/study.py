"""The Optuna study behind a search: opened or made, and refused if it is another search's."""

from __future__ import annotations

import json
import os
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
_ENTRY = b'{"op_code"'  # as each entry of a journal begins


def open_study(
    storage: str, name: str, objectives: Sequence[Objective], facts: Mapping[str, Any]
) -> optuna.Study:
    """Open the study `name`, or make it, in a journal file or at a database's URL.

    `facts` say what it is a study of; JSON-able, they are kept with it. Raises ChromatuneError if
    the storage cannot be used, or if the study there has other objectives or facts.
    """
    with errors_of(storage), quiet():
        study = optuna.create_study(
            storage=_storage(storage),
            study_name=name,
            directions=[objective.direction for objective in objectives],
            load_if_exists=True,
        )
        known = study.user_attrs
        wanted = {"objectives": list(map(str, objectives)), **facts}
        for key, value in wanted.items():
            found = known.get(f"{_PREFIX}{key}", value)
            if found != value:
                raise ChromatuneError(
                    f"the study '{name}' in {redact(storage)} searches with another {key} "
                    f"({_short(found)}, not {_short(value)}): choose another --study-name, or the "
                    f"configuration that it began with"
                )
            if f"{_PREFIX}{key}" not in known:
                study.set_user_attr(f"{_PREFIX}{key}", value)
        if study.metric_names is None:
            study.set_metric_names([objective.name for objective in objectives])
    return study


@contextmanager
def errors_of(storage: str) -> Iterator[None]:
    """Turn what a study's storage complains of into one line."""
    try:
        yield
    except (OSError, SQLAlchemyError, OptunaError, ImportError, ValueError, KeyError) as error:
        lines = str(error).strip().splitlines() or [type(error).__name__]
        raise ChromatuneError(
            f"cannot use the study storage {redact(storage)}: {redact(lines[0])}; give "
            f"--study-storage a journal file or a database such as sqlite:///FILE"
        ) from None


@contextmanager
def quiet() -> Iterator[None]:
    """Keep Optuna from announcing studies, and from warning of what it calls experimental."""
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            yield
    finally:
        optuna.logging.set_verbosity(before)


def study_location(option: str | None, launch_uri: str) -> str:
    """Where the study lies: `option`, else a journal file in the launch's folder.

    Raises ChromatuneError if that folder is on no local disk.
    """
    if option is not None:
        return absolute_storage(option)
    if "://" in launch_uri:
        raise ChromatuneError(
            f"a journal file cannot lie in {launch_uri}: give --study-storage a local file or a "
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
    """Take out what a killed process or a full disk left unfinished.

    Of a last line the next would be glued to it. Where that has happened, the half line was never
    told to anybody, and the one behind it stays.
    """
    lock = JournalFileSymlinkLock(str(path))
    lock.acquire()
    try:
        content = path.read_bytes()
        if content[:1] not in (b"", b"{"):
            raise ValueError(f"{path} is no journal of Optuna's")
        whole = content[: content.rfind(b"\n") + 1]
        mended = b"".join(map(_whole_entry, whole.splitlines(keepends=True)))
        if mended != content:
            scratch = path.with_name(f"{path.name}.{os.getpid()}.tmp")
            scratch.write_bytes(mended)
            scratch.replace(path)
    finally:
        lock.release()


def _whole_entry(line: bytes) -> bytes:
    """The entry in a line of a journal, without half of another before it."""
    try:
        json.loads(line)
    except ValueError:
        return line[max(0, line.rfind(_ENTRY)) :]
    return line


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 60 else f"{text[:57]}…"
