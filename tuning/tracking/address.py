"""Tracking URIs as users give them, and commands that name a store."""

from __future__ import annotations

import contextlib
import os
import re
from pathlib import Path

from sqlalchemy.engine import make_url

from tuning.errors import ChromatuneError
from tuning.utils.addresses import DATABASES, SERVERS, check_store
from tuning.utils.commands import shell_command
from tuning.utils.environment import expanded


def tracking_uri(option: str | None) -> str:
    """Resolve the tracking URI: `option`, else MLFLOW_TRACKING_URI, else `mlruns/mlflow.db` here.

    SQLite paths are made absolute, because trials run in another working directory. Raises
    ChromatuneError for a folder (MLflow's file store no longer works) and a mistyped address.
    """
    name = "the tracking URI"
    if not option and os.environ.get("MLFLOW_TRACKING_URI"):
        name = f"{name} in MLFLOW_TRACKING_URI,"
    uri = option or os.environ.get("MLFLOW_TRACKING_URI") or "sqlite:///mlruns/mlflow.db"
    if not uri.startswith("file:"):
        check_store(uri, name, (*SERVERS, *DATABASES))
    if uri.startswith("file:") or (":" not in uri and uri != "databricks"):
        path = Path(re.sub("^file:(//)?", "", uri))
        is_database = path.suffix in (".db", ".sqlite", ".sqlite3") and not path.is_dir()
        found = "a path" if is_database else "a folder, which MLflow no longer supports as a store"
        database = path if is_database else path / "mlflow.db"
        raise ChromatuneError(
            f"{name} '{uri}' is {found}; use sqlite:///{database} or a server's http://host:port"
        )
    if not uri.startswith("sqlite"):
        return uri
    url = make_url(uri)
    database = expanded(str(url.database)).absolute()
    try:
        return str(url.set(database=str(database)))
    except UnicodeEncodeError:
        shown = os.fsencode(database).decode(errors="backslashreplace")
        remedy = "set PYTHONUTF8=1, or use another folder"
        raise ChromatuneError(f"{name}: {shown} is no text in this locale: {remedy}") from None


def store_command(uri: str, *words: str) -> str:
    """A command of this program about the store at `uri`, which is named where it has to be."""
    with contextlib.suppress(ChromatuneError):
        if uri == tracking_uri(None):
            return shell_command("chromatune", *words)
    return shell_command("chromatune", *words, "--tracking-uri", uri)


def mlflow_command(uri: str, *words: str) -> str:
    """A command of MLflow's own about the store at `uri`."""
    return shell_command("mlflow", *words, variables={"MLFLOW_TRACKING_URI": uri})
