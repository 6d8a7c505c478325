"""Passwords, tokens and keys stay out of what is written, printed and shown."""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from data_prep.sources import without_secrets
from tests.commands import refusal
from tuning.cli.failures import hide_secrets_in_tracebacks
from tuning.errors import ChromatuneError
from tuning.launch.folder import Launch
from tuning.launch.storage import LaunchStorage
from tuning.tracking.ui import server as ui
from tuning.utils import provenance
from tuning.utils.redaction import redact

SECRET = "hunter2/and+more"


@pytest.mark.parametrize(
    "name",
    [
        *("AWS_SECRET_ACCESS_KEY", "MLFLOW_TRACKING_PASSWORD", "MLFLOW_TRACKING_TOKEN"),
        *("RAY_AUTH_TOKEN", "CHROMATUNE_SERVE_TOKEN", "MLFLOW_AUTH_ADMIN_PASSWORD"),
        *("AWS_SESSION_TOKEN", "PGPASSWORD", "GITHUB_TOKEN"),
    ],
)
def test_what_the_environment_holds_is_hidden(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, SECRET)
    assert redact(f"the server said: {SECRET} is wrong") == "the server said: *** is wrong"


def test_a_launch_keeps_no_secret(
    begin: Callable[..., Launch], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    uri = "postgresql://anna:hunter2@db/mlflow"
    words = ["chromatune", "grid", "--tracking-uri", uri, "--token", SECRET]
    monkeypatch.setattr(sys, "argv", words)
    launch = begin(tmp_path, tracking_uri=uri)
    text = Path(launch.storage.uri, "launch.json").read_text()
    assert "hunter2" not in text
    assert json.loads(text)["tracking_uri"] == "postgresql://***@db/mlflow"
    assert json.loads(text)["command"] == (
        "chromatune grid --tracking-uri 'postgresql://***@db/mlflow' --token ***"
    )
    assert "hunter2" not in provenance.command()


def test_a_storage_path_with_keys_is_refused_and_not_repeated() -> None:
    for uri in (f"s3://AKIAXX:{SECRET}@bucket/x", f"s3://bucket/x?secret_key={SECRET}"):
        said = refusal("resume", "last", "--storage-path", uri)
        assert "pass it in the environment instead" in said
        assert "hunter2" not in said
        with pytest.raises(ChromatuneError, match="contains a secret"):
            LaunchStorage(uri)


def test_errors_repeat_no_secret(prepared: object, tmp_path: Path) -> None:
    del prepared
    dead = "http://anna:hunter2@127.0.0.1:1"
    data = ("--dataset", "synthetic-faces", "--count", "20", "--size", "64", "--augment", "1")
    where = ("--data-root", f"{tmp_path}/data", "--storage-path", f"{tmp_path}/launches")
    said = refusal("grid", "regression", *data, *where, "--tracking-uri", dead)
    assert "http://***@127.0.0.1:1 cannot be reached" in said
    said = refusal("grid", "regression", "--set", f"training.seed={dead}")
    assert "'training.seed' is wrong" in said
    assert "hunter2" not in said
    assert "hunter2" not in refusal("trials", "--tracking-uri", "htp://anna:hunter2@host")


def test_tracebacks_show_no_secret(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)
    monkeypatch.setattr(threading, "excepthook", threading.excepthook)
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", SECRET)
    hide_secrets_in_tracebacks()

    def fail() -> None:
        try:
            raise OSError(f"no answer from http://anna:hunter2@host with {SECRET}")
        except OSError as error:
            raise RuntimeError("it broke") from error

    try:
        fail()
    except RuntimeError as error:
        sys.excepthook(type(error), error, error.__traceback__)
    thread = threading.Thread(target=fail)
    thread.start()
    thread.join()
    shown = capsys.readouterr().err
    assert shown.count("RuntimeError: it broke") == 2
    assert shown.count("no answer from http://***@host with ***") == 2
    assert "hunter2" not in shown.replace('hunter2@host with {SECRET}")', "")


def test_other_users_see_no_password_among_the_words_of_the_ui(tmp_path: Path) -> None:
    uri = "postgresql://anna:hunter2@db/mlflow"
    address = ui.check_address("127.0.0.1", 0, [])
    assert "hunter2" not in " ".join(ui._command(uri, address))
    environment = ui._environment(uri, address, tmp_path)
    assert environment["MLFLOW_BACKEND_STORE_URI"] == uri


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://anna:hunter2@host/a.zip", "https://host/a.zip"),
        ("https://s3/a.zip?X-Amz-Signature=hunter2&part=1", "https://s3/a.zip?part=1"),
        ("https://host/a.zip?id=7&export=download", "https://host/a.zip?id=7&export=download"),
    ],
)
def test_an_archives_url_is_stored_without_secrets(url: str, shown: str) -> None:
    assert without_secrets(url) == shown
