"""Commands that errors name work as they are printed: pasted into a shell, in any folder."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from mlflow import MlflowClient
from mlflow.store.db.utils import _get_alembic_config
from mlflow.store.tracking.dbmodels.initial_models import Base
from sqlalchemy import create_engine

from tests.tuning.tracking.conftest import LaunchWriter
from tests.tuning.tracking.reading import all_runs
from tuning.errors import ChromatuneError
from tuning.launch.folder import Launch, open_launch
from tuning.launch.storage import LaunchStorage
from tuning.tracking.address import store_command
from tuning.tracking.delivery import project_launch
from tuning.tracking.health import tracked_launches
from tuning.tracking.registry.catalog import find_model
from tuning.tracking.registry.model_choice import choose_mode
from tuning.tracking.store import open_store, prepare_store
from tuning.utils.commands import shell_command

MakeLaunch = Callable[..., LaunchWriter]
# A schema of MLflow 1.x.
OLD = "451aebb31d03"


@pytest.fixture
def spaced(tmp_path: Path) -> Path:
    """A folder that has to be quoted."""
    folder = tmp_path / "my store's"
    folder.mkdir()
    return folder


def printed(error: BaseException) -> str:
    """The one command in an error."""
    (line,) = re.findall(r"`([^`]*)`", str(error))
    return str(line)


def paste(line: str, folder: Path) -> str:
    """Run a line in a shell that knows nothing of this process's store."""
    hidden = ("MLFLOW_TRACKING_URI", "MLFLOW_REGISTRY_URI")
    environment = {name: value for name, value in os.environ.items() if name not in hidden}
    environment["PATH"] = f"{Path(sys.executable).parent}:{environment['PATH']}"
    done = subprocess.run(
        ["bash", "-c", line],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_deleted_experiment_is_restored_as_printed(
    make_launch: MakeLaunch, migrated_database: Path, spaced: Path, tmp_path: Path
) -> None:
    store = f"sqlite:///{spaced}/mlflow.db"
    (spaced / "mlflow.db").write_bytes(migrated_database.read_bytes())
    client = MlflowClient(store, store)
    launch = make_launch()
    launch.finish_all()
    project_launch(launch.storage, store)
    experiment = client.get_experiment_by_name(launch.document["experiment"])
    client.delete_experiment(experiment.experiment_id)
    with pytest.raises(ChromatuneError, match="was deleted in MLflow; restore it") as caught:
        project_launch(launch.storage, store)
    paste(printed(caught.value), tmp_path)
    project_launch(launch.storage, store)
    assert len(all_runs(client)) == 3


def test_an_older_database_is_upgraded_as_printed(spaced: Path, tmp_path: Path) -> None:
    store = f"sqlite:///{spaced}/mlflow.db"
    engine = create_engine(store)
    Base.metadata.create_all(engine)
    config = _get_alembic_config(store)
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, OLD)
    engine.dispose()
    with pytest.raises(ChromatuneError, match="out-of-date database schema") as caught:
        tracked_launches(store)
    paste(printed(caught.value), tmp_path)
    assert tracked_launches(store) == {}
    prepare_store(store)


def test_a_newer_database_is_not_upgraded(store: str) -> None:
    engine = create_engine(store)
    with engine.begin() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = 'feedfacecafe'")
    engine.dispose()
    for open_it in (prepare_store, tracked_launches):
        with pytest.raises(ChromatuneError, match="install the version of MLflow that wrote it"):
            open_it(store)


@pytest.mark.parametrize(
    "ask",
    [
        lambda store: open_store(f"{store}.none"),
        lambda store: find_model("models:/faces-colorizer@champion", store),
        lambda store: choose_mode("faces", store),
    ],
    ids=["no store", "no model", "no champion"],
)
def test_commands_name_the_store_they_are_about(
    ask: Callable[[str], Any], store: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def commands() -> list[str]:
        with pytest.raises(ChromatuneError) as caught:
            ask(store)
        found = re.findall(r"`(chromatune [^`]*)`", str(caught.value))
        assert found
        return found

    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    assert all(f"--tracking-uri {store}" in line for line in commands())
    monkeypatch.setenv("MLFLOW_TRACKING_URI", store)
    if "none" not in commands()[0]:
        assert all("--tracking-uri" not in line for line in commands())


@pytest.mark.parametrize(
    ("own", "elsewhere", "named"),
    [
        ("sqlite:////a/b.db", None, ""),
        ("sqlite:////a/b.db", "sqlite:////a/b.db", ""),
        ("sqlite:////a/b.db", "http://host", " --tracking-uri sqlite:////a/b.db"),
        ("http://127.0.0.1:5000", None, ""),
        (
            "http://***@host",
            None,
            " --tracking-uri 'http://***@host'` (with the user name and password in place of ***)",
        ),
        ("http://***@host", "http://anna:hunter2@host", ""),
        ("", None, ""),
    ],
)
def test_a_launch_is_resumed_with_its_own_store(
    own: str,
    elsewhere: str | None,
    named: str,
    make_launch: MakeLaunch,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    if elsewhere is not None:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", elsewhere)
    folder = make_launch(tracking_uri=own).folder
    launch = open_launch(folder.name, str(folder.parent))
    end = "" if named.endswith(")") else "`"
    assert launch.resume_command() == f"`chromatune resume {folder}{named}{end}"


@pytest.mark.parametrize(
    ("address", "named"), [(None, ""), ("auto", ""), ("127.0.0.1:6379", ""), ("head:6379", "head")]
)
def test_a_launch_is_resumed_on_its_own_cluster(
    address: str | None, named: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    document = {"launch_id": "x", "tracking_uri": "", "config": {"address": address}}
    launch = Launch(LaunchStorage(tmp_path / "x y"), document)
    option = f" --address {named}:6379" if named else ""
    assert launch.resume_command() == f"`chromatune resume '{tmp_path}/x y'{option}`"


def test_passwords_are_left_out_and_that_is_said() -> None:
    line = shell_command("mlflow", "gc", variables={"MLFLOW_TRACKING_URI": "http://a:hunter2@h"})
    assert line.startswith("`MLFLOW_TRACKING_URI='http://***@h' mlflow gc` (with the user name and")
    assert "hunter2" not in store_command("postgresql://a:hunter2@h/d", "doctor")
