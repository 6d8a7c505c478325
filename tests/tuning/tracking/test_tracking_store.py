"""Which store is used, and what is said if it cannot be."""

from __future__ import annotations

import contextlib
import os
import socket
import sqlite3
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from mlflow import MlflowClient
from mlflow.entities import Metric
from mlflow.exceptions import MlflowException

from tests.tuning.tracking.reading import database, free_port
from tuning.errors import ChromatuneError
from tuning.tracking.address import tracking_uri
from tuning.tracking.evaluation import log_test_metrics
from tuning.tracking.store import first_line, make_client, open_store, prepare_store
from tuning.tracking.stored_runs import StoredCell


class TestTrackingUri:
    def test_option_wins_over_environment_over_default(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        monkeypatch.chdir(tmp_path)
        monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
        assert tracking_uri(None) == f"sqlite:///{tmp_path}/mlruns/mlflow.db"
        monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://tracking:5000")
        assert tracking_uri(None) == "http://tracking:5000"
        assert tracking_uri("sqlite:///other.db") == f"sqlite:///{tmp_path}/other.db"
        assert tracking_uri("sqlite:///o.db?timeout=9") == f"sqlite:///{tmp_path}/o.db?timeout=9"

    @pytest.mark.parametrize(
        ("uri", "message"),
        [
            ("mlruns", r"is a folder.*sqlite:///.*mlruns/mlflow\.db"),
            ("file:///data/mlruns", r"is a folder.*sqlite:////data/mlruns/mlflow\.db"),
            ("sqllite:///mlflow.db", "unknown scheme 'sqllite'; did you mean 'sqlite'"),
            ("sqlite://", "has no file"),
            ("sqlite:///:memory:", "has no file"),
        ],
    )
    def test_rejects_what_is_not_a_store(self, uri: str, message: str) -> None:
        with pytest.raises(ChromatuneError, match=message):
            tracking_uri(uri)


class TestPrepareStore:
    def test_makes_the_database_in_a_new_folder(self, tmp_path: Path) -> None:
        uri = f"sqlite:///{tmp_path}/new/mlruns/mlflow.db"
        prepare_store(uri)
        with sqlite3.connect(database(uri)) as connection:
            tables = connection.execute("SELECT name FROM sqlite_master").fetchall()
        assert ("alembic_version",) in tables

    @pytest.mark.parametrize(
        ("scheme", "message"),
        [
            ("http", r"127.0.0.1:\d+/mlflow cannot be"),
            ("postgresql", r"cannot open .*refused"),
        ],
    )
    def test_rejects_at_once_a_store_that_nobody_serves(self, scheme: str, message: str) -> None:
        began = time.monotonic()
        with pytest.raises(ChromatuneError, match=message) as caught:
            prepare_store(f"{scheme}://anna:hunter2@127.0.0.1:{free_port()}/mlflow")
        assert time.monotonic() - began < 5
        assert "hunter2" not in str(caught.value)
        assert "\n" not in str(caught.value)

    def test_refuses_a_server_that_never_answers_within_five_seconds(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as silent:
            uri = f"http://127.0.0.1:{silent.getsockname()[1]}"
            began = time.monotonic()
            with pytest.raises(ChromatuneError, match=r"cannot be reached \(no answer in time\)"):
                prepare_store(uri)
            assert time.monotonic() - began < 5.5

    def test_says_that_the_database_is_locked(
        self, store: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("tuning.tracking.store._ANSWER_WITHIN_S", 0.2)
        holder = sqlite3.connect(database(store), isolation_level=None)
        holder.execute("BEGIN EXCLUSIVE")
        try:
            with pytest.raises(ChromatuneError, match=r"cannot be written \(database is locked\)"):
                prepare_store(store)
        finally:
            holder.close()

    def test_says_that_the_file_is_no_database(self, tmp_path: Path) -> None:
        (tmp_path / "notes.txt").write_text("no database at all, only words " * 40)
        for open_it in (prepare_store, make_client):
            with pytest.raises(ChromatuneError, match="file is not a database") as caught:
                open_it(f"sqlite:///{tmp_path}/notes.txt")
            assert "\n" not in str(caught.value)

    def test_says_that_the_database_was_written_by_another_mlflow(self, store: str) -> None:
        with contextlib.closing(sqlite3.connect(database(store))) as tables, tables:
            tables.execute("UPDATE alembic_version SET version_num = '451aebb31d03'")
        for open_it in (prepare_store, make_client):
            with pytest.raises(ChromatuneError, match="out-of-date database schema") as caught:
                open_it(store)
            assert "\n" not in str(caught.value)

    @pytest.mark.parametrize("status", [401, 403, 500])
    def test_says_with_which_status_a_server_refuses(self, status: int) -> None:
        class Refusing(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                self.send_error(status)

        with ThreadingHTTPServer(("127.0.0.1", 0), Refusing) as server:
            threading.Thread(target=server.serve_forever, daemon=True).start()
            try:
                with pytest.raises(
                    ChromatuneError, match=f"answers with status {status}"
                ) as caught:
                    prepare_store(f"http://anna:hunter2@127.0.0.1:{server.server_address[1]}")
            finally:
                server.shutdown()
        assert "MLFLOW_TRACKING_PASSWORD" in str(caught.value)
        assert "hunter2" not in str(caught.value)
        assert "\n" not in str(caught.value)

    def test_respects_what_the_user_has_set(
        self, store: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "6")
        prepare_store(store)
        assert os.environ["MLFLOW_HTTP_REQUEST_MAX_RETRIES"] == "6"

    def test_a_model_left_over_from_other_work_gets_no_metrics(
        self, store: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("MLFLOW_ACTIVE_MODEL_ID", "m-1")
        prepare_store(store)
        client = make_client(store)
        run_id = client.create_run("0").info.run_id
        with ThreadPoolExecutor() as pool:  # MLflow reads the variable once in each thread
            pool.submit(client.log_batch, run_id, metrics=[Metric("a", 1.0, 0, 0)]).result()
        assert client.get_run(run_id).data.metrics == {"a": 1.0}


def test_a_store_that_is_not_there_is_not_made_to_be_read(tmp_path: Path) -> None:
    with pytest.raises(
        ChromatuneError, match=r"no MLflow store at .*`chromatune reprodu.*`chromatune doctor"
    ):
        open_store(f"sqlite:///{tmp_path}/mlruns/mlflow.db")
    assert list(tmp_path.iterdir()) == []


def test_the_error_itself_is_told_and_not_what_stands_before_it() -> None:
    error = MlflowException(
        "(raised as a result of Query-invoked autoflush; consider using a session.no_autoflush "
        "block if this flush is occurring prematurely)\n"
        "(sqlite3.OperationalError) attempt to write a readonly database\n[SQL: INSERT ...]"
    )
    assert first_line(error) == "(sqlite3.OperationalError) attempt to write a readonly database"


def test_what_a_store_that_goes_away_raises_is_told_in_a_line(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    uri = f"http://127.0.0.1:{free_port()}"
    cell = StoredCell(
        *("run", "1", "cnn1", "cnn1-e2", "launch", "cnn1", "grid", "regression", "faces", "digest"),
        *("finished", 0, {}, {}),
        model_id="m-1",
    )
    # A launch that is run anew would train everything again.
    fault = "test metrics of cnn1-e2 to MLflow: no connection; run .*, or `chromatune resume LAU"
    with pytest.raises(ChromatuneError, match=fault):
        log_test_metrics(MlflowClient(uri, uri), cell, {"test_mse": 0.5})
