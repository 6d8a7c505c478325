"""The doctor on databases that MLflow does not open as they are: old, new, broken, out of reach."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace

import pytest
from alembic import command
from alembic.script import ScriptDirectory
from mlflow import MlflowClient
from mlflow.store.db.utils import _get_alembic_config
from mlflow.store.tracking.dbmodels.initial_models import Base as InitialBase
from sqlalchemy import create_engine

from tuning.errors import ChromatuneError
from tuning.tracking import health as tracking_health
from tuning.workflows import doctor
from tuning.workflows.doctor import Finding, examine

pytestmark = pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy")


@pytest.fixture(autouse=True)
def enough_space(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor.shutil, "disk_usage", lambda _: SimpleNamespace(free=2**40))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A storage path without launches."""
    return tmp_path / "ray_results"


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """A database as the MLflow before this one's last migration left it."""
    database = tmp_path / "old.db"
    uri = f"sqlite:///{database}"
    alembic = _get_alembic_config(uri)
    script = ScriptDirectory.from_config(alembic)
    older = script.get_revision(script.get_current_head()).down_revision
    engine = create_engine(uri)
    InitialBase.metadata.create_all(engine)  # what MLflow's first migration begins with
    with engine.begin() as connection:
        alembic.attributes["connection"] = connection
        command.upgrade(alembic, older)
    engine.dispose()
    return database


def found(storage_path: Path, store: str, *, dry_run: bool = False) -> list[Finding]:
    return list(examine(str(storage_path), store, dry_run=dry_run))


def test_a_database_of_an_older_mlflow_is_upgraded_and_a_copy_kept(old: Path, root: Path) -> None:
    uri = f"sqlite:///{old}"
    (told,) = found(root, uri, dry_run=True)
    assert (told.where, told.mended) == ("tracking store", False)
    assert told.remedy == "would be upgraded, a copy kept"
    assert sorted(old.parent.glob("old.db*")) == [old]
    (mended,) = found(root, uri)
    assert "older MLflow" in mended.what
    assert mended.mended
    (copy,) = old.parent.glob("old.db.before-upgrade-*")
    assert str(copy) in mended.remedy
    assert found(root, uri) == []
    assert MlflowClient(uri, uri).search_experiments() is not None


def test_of_a_database_that_is_no_file_it_says_that_no_copy_is_kept(
    old: Path, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    uri = "postgresql://db/mlflow"
    as_if = create_engine(f"sqlite:///{old}")
    monkeypatch.setattr(tracking_health, "create_engine", lambda _: as_if)
    (told,) = found(root, uri, dry_run=True)
    assert told.remedy == "would be upgraded, and no copy kept: dump it first"
    upgraded = next(examine(str(root), uri))
    assert upgraded.mended
    assert upgraded.remedy == "upgraded; no copy is kept of such a database"
    assert tracking_health.schema_of(uri) == "current"
    assert sorted(old.parent.glob("old.db*")) == [old]


def test_without_room_for_the_copy_nothing_is_upgraded(
    old: Path, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    uri = f"sqlite:///{old}"
    nowhere = SimpleNamespace(strftime=lambda _: "no/such/folder")
    monkeypatch.setattr(tracking_health, "time", nowhere)
    with pytest.raises(ChromatuneError, match=r"not upgraded, as the copy .* cannot be written"):
        found(root, uri)
    assert tracking_health.schema_of(uri) == "outdated"


def test_a_database_without_tables_is_new_and_not_of_an_older_mlflow(
    root: Path, tmp_path: Path
) -> None:
    database = tmp_path / "mlflow.db"
    database.touch()
    uri = f"sqlite:///{database}"
    (told,) = found(root, uri, dry_run=True)
    assert told.remedy == "would be made; launches are looked at beside it"
    assert database.stat().st_size == 0
    assert found(root, uri) == []
    assert not list(tmp_path.glob("mlflow.db.before-*"))


def test_a_dry_run_makes_no_database(root: Path, tmp_path: Path) -> None:
    uri = f"sqlite:///{tmp_path}/elsewhere/mlflow.db"
    (told,) = found(root, uri, dry_run=True)
    assert told.where == "tracking store"
    assert told.remedy == "would be made; launches are looked at beside it"
    assert not (tmp_path / "elsewhere").exists()


def test_a_store_that_cannot_be_opened_is_one_error(root: Path, tmp_path: Path) -> None:
    broken = tmp_path / "mlflow.db"
    broken.write_bytes(os.urandom(4096))
    with pytest.raises(ChromatuneError, match="cannot open the tracking store"):
        found(root, f"sqlite:///{broken}")


def test_a_database_whose_driver_is_not_installed_is_one_error(root: Path) -> None:
    with pytest.raises(ChromatuneError, match="cymysql://db/mlflow: No module named 'cymysql'"):
        found(root, "mysql+cymysql://db/mlflow")
