"""The Optuna study behind a search: opened or made, and rejected if it is not its own."""

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
from tuning.launch.folder import JOURNAL
from tuning.search.objectives import Objective
from tuning.search.study_checks import PREFIX, check_study, describe_place
from tuning.utils.addresses import check_driver, check_owner
from tuning.utils.redaction import redact

_ENTRY = b'{"op_code"'  # the beginning of each entry of a journal


def open_study(
    storage: str,
    name: str,
    objectives: Sequence[Objective],
    facts: Mapping[str, Any],
    *,
    launch_id: str,
    is_resumed: bool = False,
) -> optuna.Study:
    """Open the study `name`, or make it, in a journal file or at a database's URL.

    `facts` say what is searched; JSON-able, they are stored with it. Raises ChromatuneError if the
    storage cannot be used, if another program made the study, or a search with other objectives or
    facts, or if a launch that is resumed has no study or none of its trials are in it. A study that
    is rejected is left as it is.
    """
    where = f"the {describe_place(storage, name)}"
    facts = {"objectives": list(map(str, objectives)), **facts}
    with _errors_of(storage), quiet():
        if is_resumed and not _exists(storage, name):
            raise ChromatuneError(f"{where} of {launch_id} is missing: restore it")
        study = optuna.create_study(
            storage=_storage(storage),
            study_name=name,
            directions=[objective.direction for objective in objectives],
            load_if_exists=True,
        )
        known = check_study(study, where, objectives, facts, launch_id, is_resumed=is_resumed)
        for key in facts.keys() - known.keys():
            study.set_user_attr(f"{PREFIX}{key}", facts[key])
        if study.metric_names is None:
            study.set_metric_names([objective.name for objective in objectives])
    return study


def stored_study(storage: str, name: str) -> tuple[BaseStorage, int]:
    """Open the storage of the study `name`, to read it; return also the study's id there.

    Raises ChromatuneError if there is no such study, or if the storage cannot be used.
    """
    with _errors_of(storage), quiet():
        if not _exists(storage, name):
            raise ChromatuneError(f"the {describe_place(storage, name)} is missing")
        opened = _storage(storage)
        return opened, opened.get_study_id_from_name(name)


def _exists(storage: str, name: str) -> bool:
    if "://" not in storage and not Path(storage).exists():
        return False
    return name in optuna.get_all_study_names(_storage(storage))


# RuntimeError: a database of another version of Optuna; AssertionError: such a journal.
_UNUSABLE = (
    *(OSError, SQLAlchemyError, OptunaError, ImportError, ValueError, KeyError),
    *(RuntimeError, AssertionError),
)


@contextmanager
def _errors_of(storage: str) -> Iterator[None]:
    """Turn the errors of a study's storage into one line."""
    try:
        yield
    except _UNUSABLE as error:
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
        check_driver(location)
        instead = "give --study-storage another database, or a journal file"
        check_owner(location, "the study storage", "studies", instead)
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
        if not (content.startswith(_ENTRY) or _ENTRY.startswith(content)):
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
