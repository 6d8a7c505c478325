"""Where MLflow keeps its runs: tracking URIs, the client, experiments."""

from __future__ import annotations

import fcntl
import logging
import os
import re
import socket
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from functools import partial
from importlib.resources import files
from pathlib import Path
from typing import Any

import requests
from mlflow import MlflowClient
from mlflow.entities import Experiment, Run, ViewType
from mlflow.exceptions import MlflowException
from mlflow.utils.credentials import get_default_host_creds
from mlflow.utils.rest_utils import http_request
from sqlalchemy.engine import make_url
from sqlalchemy.exc import SQLAlchemyError

from tuning.errors import ChromatuneError
from tuning.tracking.address import mlflow_command, store_command
from tuning.utils.addresses import SERVERS, check_driver, check_owner
from tuning.utils.commands import shell_command
from tuning.utils.redaction import redact

_PORTS = {"postgresql": 5432, "mysql": 3306, "mssql": 1433}
_ANSWER_WITHIN_S = 4
# MLflow's own defaults let a command hang for four minutes when a server is down, draw progress
# bars for single files, print links between a command's results and copy a user's uv.lock into
# every model. What the user has set stays.
_CLIENT_DEFAULTS = {
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_UV_AUTO_DETECT": "false",
}
# Left over from other work, they name the model whose metrics MLflow takes ours to be.
_OF_OTHER_MODELS = ("MLFLOW_ACTIVE_MODEL_ID", "_MLFLOW_ACTIVE_MODEL_ID")
# The loggers that repeat on stderr what this module says in one line.
_NOISY_LOGGERS = {
    "mlflow": logging.WARNING,
    "mlflow.store.db.utils": logging.CRITICAL,
    "alembic": logging.WARNING,
    "urllib3.connectionpool": logging.ERROR,
}
_RUNS_PER_PAGE = 1000
# What to do about a write that failed: all of them may be repeated.
RETRY = "run the same command again"
# The same where a launch may be concluding: its own command would train everything anew.
RETRY_OR_RESUME = f"{RETRY}, or `chromatune resume LAUNCH` for a launch"
# What a call to an unavailable store raises; ImportError if a database's driver is missing.
STORE_ERRORS = (
    *(MlflowException, SQLAlchemyError),
    *(requests.RequestException, OSError, ImportError),
)
_OTHER_SCHEMA = re.compile(r"out-of-date database schema \(found version (\w+)")
_OWNER = ("the tracking store", "experiments", "choose another with --tracking-uri")
# What SQLAlchemy puts in a line before the error itself.
_PREFACE = re.compile(r"\(raised as a result of .*\)\s*")
_UNANSWERED = re.compile(r"API request to \S+ failed with (timeout )?exception")


def prepare_store(uri: str) -> None:
    """Make sure that the store answers and can be written; create and migrate a new database.

    Call it once in the driver before anything else opens the store. Raises ChromatuneError with one
    line, within about five seconds, if a server does not answer or a database cannot be written.
    """
    _set_defaults()
    if is_server(uri):
        _ask_server(uri)
        return
    database = _sqlite_file(uri)
    with translated(f"cannot open the tracking store {redact(uri)}"), _schema_checked(uri):
        if database is None:
            _knock(uri)
            check_driver(uri)
            check_owner(uri, *_OWNER)
            MlflowClient(uri, uri).search_experiments(max_results=1)
            return
        database.parent.mkdir(parents=True, exist_ok=True)
        with _locked(database):
            _check_writable(database)
            check_owner(uri, *_OWNER)
            MlflowClient(uri, uri).search_experiments(max_results=1)


def open_store(uri: str) -> None:
    """As `prepare_store`, for readers: ChromatuneError if a database file does not exist."""
    if not is_there(uri):
        raise ChromatuneError(
            f"no MLflow store at {redact(uri)}: create it with {store_command(uri, 'reproduce')} "
            f"or a training with Ray, write trained launches to it with "
            f"{store_command(uri, 'doctor')}, or choose another with --tracking-uri"
        )
    prepare_store(uri)


def other_version(uri: str, version: str) -> ChromatuneError:
    """What to do about a database of another version of MLflow."""
    migrations = Path(str(files("mlflow.store.db_migrations"))) / "versions"
    if any(migrations.glob(f"{version}_*.py")):
        then = f"copy it, then run {shell_command('mlflow', 'db', 'upgrade', uri)}"
    else:
        then = "install the version of MLflow that wrote it, or choose another with --tracking-uri"
    return ChromatuneError(
        f"the tracking store {redact(uri)} has an out-of-date database schema, or that of a newer "
        f"MLflow ({version}): {then}"
    )


@contextmanager
def _schema_checked(uri: str) -> Iterator[None]:
    try:
        yield
    except MlflowException as error:
        if (found := _OTHER_SCHEMA.search(str(error))) is not None:
            raise other_version(uri, found[1]) from None
        raise


def is_there(uri: str) -> bool:
    """Whether the store's database file exists; True for servers and other databases."""
    database = None if is_server(uri) else _sqlite_file(uri)
    return database is None or database.is_file()


def make_client(uri: str) -> MlflowClient:
    """A client of the store at `uri`, for tracking and registry alike, whatever is set globally.

    Raises ChromatuneError if it is a database that cannot be opened.
    """
    _set_defaults()
    with translated(f"cannot open the tracking store {redact(uri)}"), _schema_checked(uri):
        return MlflowClient(tracking_uri=uri, registry_uri=uri)


def is_server(uri: str) -> bool:
    """Whether `uri` is reached over HTTP rather than as a database."""
    return uri == "databricks" or uri.partition(":")[0] in SERVERS


def open_experiment(client: MlflowClient, uri: str, name: str, tags: Mapping[str, str]) -> str:
    """Find or create the experiment `name`, tag it, and return its id.

    Artifacts of a database store lie beside the database, under `artifacts/<name>`; a server
    decides for itself. Raises ChromatuneError if the experiment lies in MLflow's trash.
    """
    experiment = client.get_experiment_by_name(name)
    if experiment is None:
        try:
            created = client.create_experiment(name, _artifact_location(uri, name), dict(tags))
            return str(created)
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise
        # Another launch has created it since we asked.
        experiment = client.get_experiment_by_name(name)
    if experiment is None or experiment.lifecycle_stage != "active":
        found = experiment.experiment_id if experiment else "ID"
        restore = mlflow_command(uri, "experiments", "restore", "-x", str(found))
        raise ChromatuneError(
            f"the experiment '{name}' was deleted in MLflow; restore it with {restore}"
        )
    for key, value in tags.items():
        if experiment.tags.get(key) != value:
            client.set_experiment_tag(experiment.experiment_id, key, value)
    return str(experiment.experiment_id)


def search_all_runs(
    client: MlflowClient, experiment_ids: list[str], query: str, view: int = ViewType.ACTIVE_ONLY
) -> Iterator[Run]:
    """Every run that `query` selects, page by page, oldest first; by default none in the trash."""
    if not experiment_ids:
        return
    order = ["attributes.start_time ASC", "attributes.run_id ASC"]
    yield from all_pages(
        partial(client.search_runs, experiment_ids, query, view, _RUNS_PER_PAGE, order)
    )


def search_all_experiments(client: MlflowClient, query: str = "") -> list[Experiment]:
    """Every experiment that `query` selects and that is not in MLflow's trash, newest first."""
    search = partial(client.search_experiments, ViewType.ACTIVE_ONLY, filter_string=query or None)
    return list(all_pages(search))


def experiment_ids(client: MlflowClient, query: str = "") -> list[str]:
    """Ids of the experiments that `query` selects."""
    return [str(each.experiment_id) for each in search_all_experiments(client, query)]


def all_pages(search: Callable[..., Any]) -> Iterator[Any]:
    """The results of all pages; `search` takes a `page_token` and returns one page."""
    token = None
    while True:
        page = search(page_token=token)
        yield from page
        token = page.token
        if not token:
            return


@contextmanager
def translated(
    failure: str, then: str = "", *, to: type[ChromatuneError] = ChromatuneError
) -> Iterator[None]:
    """Turn the errors of a store that is unavailable or rejects a call into a ChromatuneError.

    Its text is one line: `failure`, the cause, and what to do `then`.
    """
    try:
        yield
    except STORE_ERRORS as error:
        raise to("; ".join(filter(None, (f"{failure}: {first_line(error)}", then)))) from None


def first_line(error: BaseException) -> str:
    """First line of an error's text without secrets, for messages of one line."""
    text = _PREFACE.sub("", str(error), count=1).strip() or type(error).__name__
    if _UNANSWERED.match(text):
        return "no answer in time" if "timed out" in text else "no connection"
    return redact(text.splitlines()[0])[:300]


def _set_defaults() -> None:
    for name in _OF_OTHER_MODELS:
        os.environ.pop(name, None)
    for name, value in _CLIENT_DEFAULTS.items():
        os.environ.setdefault(name, value)
    if "MLFLOW_LOGGING_LEVEL" not in os.environ:
        for name, level in _NOISY_LOGGERS.items():
            logging.getLogger(name).setLevel(level)


def _ask_server(uri: str) -> None:
    try:
        answer = http_request(
            get_default_host_creds(uri),
            "/api/2.0/mlflow/experiments/search",
            "POST",
            max_retries=0,
            timeout=_ANSWER_WITHIN_S,
            raise_on_status=False,
            json={"max_results": 1},
        )
    except (MlflowException, requests.RequestException) as error:
        raise ChromatuneError(
            f"the tracking server {redact(uri)} cannot be reached ({first_line(error)}): start "
            f"it, or choose another with --tracking-uri"
        ) from None
    if answer.status_code != 200:
        raise ChromatuneError(
            f"the tracking server {redact(uri)} answers with status {answer.status_code}: check "
            f"--tracking-uri, MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or "
            f"MLFLOW_TRACKING_TOKEN"
        )


def _knock(uri: str) -> None:
    """Raise OSError if a database server does not answer: MLflow would try for minutes."""
    url = make_url(uri)
    port = url.port or _PORTS.get(url.get_backend_name())
    if url.host and port:
        socket.create_connection((url.host, port), timeout=_ANSWER_WITHIN_S).close()


def _sqlite_file(uri: str) -> Path | None:
    url = make_url(uri)
    return Path(str(url.database)) if url.get_backend_name() == "sqlite" else None


def _artifact_location(uri: str, name: str) -> str | None:
    if is_server(uri):
        return None
    database = _sqlite_file(uri)
    root = database.parent if database is not None else Path("mlruns").absolute()
    return (root / "artifacts" / name).as_uri()


@contextmanager
def _locked(database: Path) -> Iterator[None]:
    """Let one process at a time migrate: two on a new database break each other."""
    with database.with_name(f".{database.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _check_writable(database: Path) -> None:
    connect = partial(sqlite3.connect, timeout=_ANSWER_WITHIN_S, isolation_level=None)
    try:
        with closing(connect(database)) as connection:
            connection.execute("BEGIN IMMEDIATE")
    except sqlite3.DatabaseError as error:
        raise ChromatuneError(
            f"the tracking database {database} cannot be written ({error}): close the program that "
            f"locks it, check its permissions, or choose another with --tracking-uri"
        ) from None
