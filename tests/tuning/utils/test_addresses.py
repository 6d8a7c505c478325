"""Mistyped addresses of stores, storage and clusters: one line, what to write, no password."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy.engine import make_url

from tests.commands import refusal
from tuning.config.schema import absolute_path
from tuning.config.search import absolute_storage
from tuning.errors import ChromatuneError
from tuning.tracking.address import tracking_uri
from tuning.utils.addresses import check_cluster, check_driver, hidden

SECRET = "hunter2"
PASSWORD = f"anna:{SECRET}"

# Of databases, for MLflow and Optuna alike: what was typed, and what the error says to write.
DATABASES = {
    "sqlite:x.db": "write sqlite:///x.db",
    "sqlite:/data/x.db": "write sqlite:////data/x.db",
    "sqlite://x.db": "write sqlite:///x.db",
    "sqlite://data/x.db": "write sqlite:///data/x.db, or sqlite:////data/x.db if",
    "sqlite//x.db": "write sqlite:///x.db",
    "sqlite3:///x.db": "write sqlite:///x.db",
    "SQLite:///x.db": "write sqlite:///x.db",
    "sqllite:///x.db": "Write sqlite:///x.db",
    "sqlite://": "write sqlite:///path/FILE.db",
    "sqlite:///": "write sqlite:///path/FILE.db",
    "sqlite:///:memory:": "write sqlite:///path/FILE.db",
    "sqlite:////usr": "is a folder: write sqlite:////usr/FILE.db",
    "'sqlite:///x.db'": "quote: remove it",
    "sqlite:///x.db ": "space or a quote: remove it",
    f"postgres://{PASSWORD}@db/m": "write postgresql://***@db/m",
    f"Postgres+psycopg2://{PASSWORD}@db/m": "write postgresql+psycopg2://***@db/m",
    f"postgresq://{PASSWORD}@db/m": "Write postgresql://***@db/m",
    f"postgresql:/{PASSWORD}@db/m": "write postgresql://***@db/m",
    f"postgresql:{PASSWORD}@db/m": "write postgresql://***@db/m",
    f"postgresql//{PASSWORD}@db/m": "write postgresql://***@db/m",
    f"mariadb://{PASSWORD}@db/m": "write mysql://***@db/m",
    f"postgresql://{PASSWORD}@x@db/m": "unescaped '@' in its user name or password: write %40",
    f"postgresql://anna:x@{SECRET}@db/m": "write %40",
    f"postgresql://{PASSWORD}/x@db/m": "unescaped '/' in its user name or password: write %2F",
    f"postgresql://anna:12/{SECRET}@db:5432/m": "write %2F",
    f"postgresql://{PASSWORD}#x@db/m": "write %23",
    f"postgresql://{PASSWORD}?x@db/m": "write %3F",
    f"postgresql://{PASSWORD}%x@db/m": "write %25",
    f"postgresql://{PASSWORD} x@db/m": "write %20",
    f"postgresql://{PASSWORD}'x@db/m": "write %27",
    f"mysql://{PASSWORD}[x@db/m": "write %5B",
    f"postgresql://{PASSWORD}": "write HOST:PORT, or USER:PASSWORD@HOST",
    f"postgresql://{PASSWORD}/m": "write HOST:PORT, or USER:PASSWORD@HOST",
    f"postgresql://{PASSWORD}@db:54e2/m": "no port from 1 to 65535",
    f"postgresql://{PASSWORD}@db:/m": "no port from 1 to 65535",
    f"postgresql://{PASSWORD}@db:70000/m": "no port from 1 to 65535",
    f"postgresql://{PASSWORD}@my db/m": "write HOST:PORT",
    f"mongodb://{PASSWORD}@db/m": "valid: .*postgresql",
    f"{PASSWORD}@db/m": "unknown scheme 'anna' .*valid: .*postgresql",
    f"{SECRET}@db/m": "has no scheme: write .*://[*]{3}@db/m",
    f"mssql://db/m?password={SECRET}%ZZ&x=1:2@": "unescaped",
}
SERVERS = {
    "://": "has no scheme: write http://HOST",
    "htp://host:5000": "Write http://host:5000",
    f"htttps://{PASSWORD}@host": r"Write https://[*]{3}@host",
    "http:/host:5000": "write http://host:5000",
    "http:host:5000": "write http://host:5000",
    "http//host:5000": "write http://host:5000",
    "HTTP://host:5000": "write http://host:5000",
    "localhost:5000": "write http://localhost:5000",
    "10.0.0.1:5000": "write http://10.0.0.1:5000",
    "host.example.org:5000/mlflow": "write http://host.example.org:5000/mlflow",
    "http://:5000": "names no host",
    "http://host:50o0": "no port from 1 to 65535",
    "http://host:0": "no port from 1 to 65535",
    f"http://{PASSWORD}@p@host:5000": "write %40",
    f"http://{PASSWORD}/p@host:5000": "write %2F for it, or %40 for the '@' if there is no passw",
    "ftp://host/x": "valid: http, https, databricks, sqlite",
    "mlruns": "use sqlite:///mlruns/mlflow.db or a server's http://host:port",
    "mlflow.db": "use sqlite:///mlflow.db or a server's http://host:port",
    "file:///data/mlruns": "use sqlite:////data/mlruns/mlflow.db or",
}
STORAGE = {
    "s3:/bucket/x": "write s3://bucket/x",
    "s3:bucket/x": "write s3://bucket/x",
    "s3//bucket/x": "write s3://bucket/x",
    "s3a://bucket/x": "write s3://bucket/x",
    "S3://bucket/x": "write s3://bucket/x",
    "s4://bucket/x": "valid: s3, gs",
    "gcss://bucket/x": "Write gcs://bucket/x",
    "s3://": "write s3://bucket/path",
    "https://bucket.s3.amazonaws.com/x": "write s3://bucket/path",
    "file:/data/x": "write file:///data/x",
    "file://data/x": "write file:///data/x",
    f"ssh://{PASSWORD}@host/x": "valid: s3, gs",
}
CLUSTERS = {
    "host": "write host:6379",
    "host:": "write host:6379",
    "host:63x9": "write host:6379",
    "host:70000": "write host:6379",
    "http://host:8265": "a dashboard, which is for `ray job submit`: write .*host:6379",
    "https://host": "a dashboard, .*host:6379",
    f"https://{PASSWORD}@host": "a dashboard, .*such as host:6379",
    "tcp://host:6379": "write host:6379",
    "ray//host:10001": "write",
    "'auto'": "quote: remove it",
    "head node:6379": "write HOST:6379",
}
GOOD = {
    tracking_uri: (
        *("sqlite:////data/x.db", "http://host", "http://host:5000/mlflow", "http://[::1]:5000"),
        *("https://anna:p%40%2Fss@host:443", "databricks", "databricks://profile"),
        *("postgresql+psycopg2://postgres@/m?host=/run/x", "postgresql://anna:a:b!c@db:5432/m"),
    ),
    absolute_storage: ("/data/study.journal", "sqlite:////data/x.db?timeout=9", "mysql://a:b@h/d"),
    absolute_path: ("/data/a:b", "s3://bucket/x", "gs://bucket", "hdfs:///x", "file:///data"),
    lambda address: (check_cluster(address, "--address"), address)[1]: (
        *("auto", "local", "host:6379", "[::1]:6379", "ray://host:10001", "10.0.0.1:1"),
    ),
}


def cluster(address: str) -> str:
    check_cluster(address, "--address")
    return address


@pytest.mark.parametrize(
    ("check", "address", "says"),
    [
        *((tracking_uri, *case) for case in {**DATABASES, **SERVERS}.items()),
        *((absolute_storage, *case) for case in DATABASES.items()),
        *((absolute_path, *case) for case in STORAGE.items()),
        *((cluster, *case) for case in CLUSTERS.items()),
    ],
)
def test_a_mistyped_address_is_one_line_that_says_what_to_write(
    check: Callable[[str], str],
    address: str,
    says: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ChromatuneError) as caught:
        check(address)
    line = str(caught.value)
    pattern = says if "[*]" in says or ".*" in says else re.escape(says)
    assert re.search(pattern, line), line
    assert SECRET not in line
    assert "\n" not in line
    instead = re.search(r"(?i)write (\w+://[^\s,]+)$", line)
    if instead is not None and "***" not in line:
        check(instead[1])  # what is written instead is right


@pytest.mark.parametrize(
    ("check", "address"), [(check, address) for check, good in GOOD.items() for address in good]
)
def test_right_addresses_stay_as_they_are(check: Callable[[str], str], address: str) -> None:
    assert check(address) == address


@pytest.mark.parametrize(
    ("address", "says"),
    [
        ("mysql+pymysql://anna:hunter2@db/m", "needs the driver pymysql.*pip install 'pymysql'"),
        ("mysql://anna:hunter2@db/m", "needs the driver MySQLdb.*pip install 'mysqlclient'"),
        ("postgresql+nothing://anna:hunter2@db/m", r"write postgresql://\*\*\*@db/m"),
        ("sqlite+aiosqlite:///x.db", "write sqlite:///x.db"),
    ],
)
def test_a_driver_that_is_missing_or_of_no_use_is_named(
    address: str, says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("pymysql", "MySQLdb"):
        monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ChromatuneError, match=says) as caught:
        check_driver(address)
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize("at", ["a@b", "me:you"])
def test_a_database_file_may_have_signs_that_separate_passwords(at: str, tmp_path: Path) -> None:
    uri = tracking_uri(f"sqlite:///{tmp_path}/{at}/mlflow.db")
    assert make_url(uri).database == f"{tmp_path}/{at}/mlflow.db"
    assert hidden(f"sqlite:///{at}.db") == f"sqlite:///{at}.db"


@pytest.mark.parametrize(
    ("words", "variables"),
    [
        (["trials", "regression", "--tracking-uri"], []),
        (["doctor"], ["MLFLOW_TRACKING_URI"]),
        (["report"], ["MLFLOW_TRACKING_URI"]),
        (["search", "regression", "-c", "search_regression", "--study-storage"], []),
    ],
)
def test_every_option_and_variable_for_a_store_is_checked(
    words: list[str], variables: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    address = f"postgresql://anna:{SECRET}/x@db/m"
    for name in variables:
        monkeypatch.setenv(name, address)
    line = refusal(*words, *([] if variables else [address]))
    assert "'postgresql://***@db/m' has an unescaped '/'" in line
    assert SECRET not in line
    assert all(name in line for name in variables)


@pytest.mark.parametrize("words", [["grid", "regression"], ["resume"], ["doctor"]])
def test_every_storage_path_is_checked(words: list[str]) -> None:
    assert "write s3://bucket/x" in refusal(*words, "--storage-path", "s3:/bucket/x")


def test_the_server_of_a_bucket_is_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "localhost:9000")
    line = refusal("doctor", "--storage-path", "s3://bucket/x")
    assert "AWS_ENDPOINT_URL 'localhost:9000'" in line
    assert "write http://localhost:9000" in line
