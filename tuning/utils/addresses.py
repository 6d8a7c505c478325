"""Checks the addresses of stores, storage and clusters before anything is asked of them.

Libraries misread a mistyped address, wait for minutes or repeat its password. An error here is one
line that says what to write instead, and hides whatever may be a password.
"""

from __future__ import annotations

import difflib
import importlib.util
import os
import re
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import quote

from tuning.errors import ChromatuneError
from tuning.utils.redaction import HIDDEN, redact

SERVERS = ("http", "https", "databricks")
DATABASES = ("sqlite", "postgresql", "mysql", "mssql")
# Variables whose values a tracking store receives.
CREDENTIALS = (
    *("MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD", "MLFLOW_TRACKING_TOKEN"),
    *("PGPASSWORD", "MYSQL_PWD"),
)
_STORAGE = ("s3", "gs", "gcs", "abfs", "abfss", "hdfs", "viewfs", "file", "mock")
# Of these, what follows the two slashes may begin with a third.
_WITHOUT_HOST = (*DATABASES, "hdfs", "viewfs", "file")
# Names that other programs use.
_ALIASES = {
    **dict.fromkeys(("postgres", "postgre", "pgsql", "psql"), "postgresql"),
    **{"sqlite3": "sqlite", "mariadb": "mysql", "sqlserver": "mssql", "s3a": "s3", "s3n": "s3"},
}
_KNOWN = "|".join((*SERVERS, *DATABASES, *_STORAGE, *_ALIASES, "ray"))
# A scheme, a driver, what separates them from the rest, and the rest.
_PARTS = re.compile(r"([\w.-]+)(\+\w*)?(:/*)(.*)", re.ASCII | re.DOTALL)
_NO_COLON = re.compile(rf"(?i:({_KNOWN})(\+\w+)?)//(.*)", re.ASCII | re.DOTALL)
_START = re.compile(rf"[A-Za-z][\w+.-]*://|(?i:{_KNOWN})(?:\+\w+)?(?::/?|//)", re.ASCII)
# A port that is none may be a password whose '@' is missing.
_NO_PORT = re.compile(r"(://[^/@\s:\[]+:)(?!\d+(?:[/?#]|$))[^/].*", re.DOTALL)
# What must be escaped in a user name and password (RFC 3986, and the apostrophe).
_UNESCAPED = re.compile(r"[^\w.~!$&()*+,;=:%-]|%(?![0-9A-Fa-f]{2})", re.ASCII)
_HOST = re.compile(r"\[[0-9A-Fa-f:.]+(?:%\w+)?\]|[\w.-]+")
_LARGEST_PORT = 65535
# What pip calls the modules that SQLAlchemy imports, where that differs.
_PACKAGES = {
    **{"psycopg": "psycopg[binary]", "psycopg2": "psycopg2-binary", "MySQLdb": "mysqlclient"},
    "mysql.connector": "mysql-connector-python",
}
# Drivers and their modules.
_DRIVERS = {
    "postgresql": {"psycopg2": "psycopg2", "psycopg": "psycopg", "pg8000": "pg8000"},
    "mysql": {"pymysql": "pymysql", "mysqldb": "MySQLdb"},
    "mssql": {"pyodbc": "pyodbc", "pymssql": "pymssql"},
}


def hidden(address: str) -> str:
    """The address without what may be a user name or password, however it is mistyped."""
    before, at, after = address.rpartition("@")
    if at and not address.lower().startswith("sqlite"):  # a file may have that sign
        start = _START.match(before)
        address = f"{start[0] if start else ''}{HIDDEN}@{after}"
    address = re.sub(r"(?i)(odbc_connect=)[^&]+", rf"\1{HIDDEN}", address)
    return redact(_NO_PORT.sub(rf"\1{HIDDEN}", address))


def check_store(address: str, name: str, valid: Sequence[str]) -> None:
    """Raise ChromatuneError if `address` is not that of a server or database in `valid` schemes.

    `name` is what the error calls it. Plain paths pass.
    """
    if address == "databricks" and address in valid:
        return
    start = f"{name} '{hidden(address)}'"
    _check_ends(address, start)
    _check_colon(address, start)
    parts = _PARTS.fullmatch(address)
    if parts is None:
        if "@" in address or "://" in address or (":" in address and "/" not in address):
            scheme = "http" if "http" in valid else "postgresql"
            rest = hidden(address.lstrip(":/")) or "HOST"
            raise ChromatuneError(f"{start} has no scheme: write {scheme}://{rest}")
        return
    typed, driver, separator, rest = parts[1], parts[2] or "", parts[3], parts[4]
    scheme = _scheme(typed, valid, start, address)
    if scheme == "sqlite":
        _check_sqlite(f"{typed}{driver}", separator, rest, start)
    else:
        _check_slashes(typed, scheme, driver, separator, rest, start)
        if scheme != "databricks":
            _check_network(rest, start, needs_host=scheme in SERVERS)


def check_driver(address: str) -> None:
    """Raise ChromatuneError if SQLAlchemy lacks the driver of a database's address."""
    from sqlalchemy.engine import make_url  # only those have it who have such a store
    from sqlalchemy.exc import ArgumentError, NoSuchModuleError

    start = f"the database at '{hidden(address)}'"
    try:
        dialect = make_url(address).get_dialect()
        if not dialect.is_async:
            dialect.import_dbapi()
            return
    except NoSuchModuleError:
        pass
    except (ArgumentError, ValueError):
        raise ChromatuneError(f"{start} has an address that cannot be read") from None
    except ImportError as error:
        module = error.name or str(error)
        package = _PACKAGES.get(module, module)
        raise ChromatuneError(
            f"{start} needs the driver {module}, which is not installed: "
            f"`pip install '{package}'`{_other_driver(address)}"
        ) from None
    base, _, rest = address.partition("://")
    instead = hidden(f"{base.partition('+')[0]}://{rest}")
    raise ChromatuneError(f"{start} names a driver that cannot be used: write {instead}")


def check_owner(address: str, name: str, table: str, instead: str) -> None:
    """Raise ChromatuneError if another program keeps its data in a database.

    Optuna and MLflow both keep the version of their tables in `alembic_version`. Each would add its
    tables to the other's, and then fail. `table` is one of those that the owner has.
    """
    import sqlalchemy  # as above

    engine = sqlalchemy.create_engine(address)
    try:
        inspector = sqlalchemy.inspect(engine)
        if inspector.has_table("alembic_version") and not inspector.has_table(table):
            known = {"studies": "Optuna", "experiments": "MLflow"}
            owner = next((known[t] for t in known if inspector.has_table(t)), "another program")
            raise ChromatuneError(f"{name} '{hidden(address)}' is a database of {owner}: {instead}")
    finally:
        engine.dispose()


def check_storage(path: str) -> None:
    """Raise ChromatuneError if `path` is neither a local path nor the address of storage."""
    start = f"the storage path '{hidden(path)}'"
    _check_colon(path, start)
    parts = _PARTS.fullmatch(path)
    if parts is None:
        return
    typed, driver, separator, rest = parts[1], parts[2] or "", parts[3], parts[4]
    lower = typed.lower()
    is_address = separator.startswith("://") or _ALIASES.get(lower, lower) in _STORAGE
    if not is_address:
        return
    if lower in SERVERS:
        raise ChromatuneError(
            f"{start} is a web address: write s3://bucket/path, and set AWS_ENDPOINT_URL for a "
            f"server other than Amazon's"
        )
    scheme = _scheme(typed, _STORAGE, start, path)
    if scheme == "file" and not separator.startswith(":///"):
        raise _mistyped(start, f"file:///{rest}")
    _check_slashes(typed, scheme, driver, separator, rest, start)
    if not rest and scheme not in _WITHOUT_HOST:
        raise ChromatuneError(f"{start} names no bucket: write {scheme}://bucket/path")
    for name in ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"):
        if scheme == "s3" and os.environ.get(name):
            check_store(os.environ[name], name, ("http", "https"))


def check_cluster(address: str, name: str) -> None:
    """Raise ChromatuneError if `address` is not that of a Ray cluster; `name` says where it is."""
    unset = ", or `unset RAY_ADDRESS` to run on this machine" if name == "RAY_ADDRESS" else ""
    start = f"{name} '{hidden(address)}'"
    _check_ends(address, start)
    if address in ("auto", "local"):
        return
    scheme, separator, rest = address.partition("://")
    if not separator:
        rest = address
    rest = rest.rpartition("@")[2] if scheme.lower() in ("http", "https") else rest
    host, colon, port = rest.rpartition(":")
    if not colon or "]" in port:
        host, port = rest.partition("/")[0], ""
    if scheme.lower() in ("http", "https") and separator:
        raise ChromatuneError(
            f"{start} is that of a dashboard, which is for `ray job submit`: write the cluster's "
            f"own, such as {hidden(host) or 'HOST'}:6379{unset}"
        )
    if separator and scheme != "ray":
        raise _mistyped(start, rest)
    if not _HOST.fullmatch(host) or not _is_port(port):
        host = host if _HOST.fullmatch(host) else "HOST"
        raise ChromatuneError(
            f"{start} is not HOST:PORT with a port from 1 to {_LARGEST_PORT}: write {host}:6379, "
            f"or the port that `ray start --head` has printed{unset}"
        )


def _check_ends(address: str, start: str) -> None:
    if re.search(r"^[\s'\"]|[\s'\"]$", address):
        raise ChromatuneError(f"{start} begins or ends with a space or a quote: remove it")


def _check_colon(address: str, start: str) -> None:
    parts = _NO_COLON.fullmatch(address)
    if parts is not None and not Path(parts[1]).exists():
        scheme = _ALIASES.get(parts[1].lower(), parts[1].lower())
        slash = "/" if scheme == "sqlite" else ""
        raise _mistyped(start, f"{scheme}{parts[2] or ''}://{slash}{parts[3]}")


def _scheme(typed: str, valid: Sequence[str], start: str, address: str) -> str:
    """What the scheme means; ChromatuneError, with the nearest, if it is none of `valid`."""
    scheme = _ALIASES.get(typed.lower(), typed.lower())
    if scheme in valid:
        return scheme
    close = difflib.get_close_matches(scheme, valid, n=1)
    rest = address[len(typed) :]
    if close:
        instead = f"; did you mean '{close[0]}'? Write {hidden(f'{close[0]}{rest}')}"
    elif "http" in valid and re.match(r":\d+(?:/|$)", rest):
        instead = f"; write http://{hidden(address)}"
    else:
        instead = f" (valid: {', '.join(valid)})"
    raise ChromatuneError(f"{start} starts with an unknown scheme '{typed}'{instead}")


def _check_slashes(
    typed: str, scheme: str, driver: str, separator: str, rest: str, start: str
) -> None:
    may_have_three = scheme in _WITHOUT_HOST
    if typed != scheme or not (separator == "://" or (may_have_three and separator == ":///")):
        raise _mistyped(start, f"{scheme}{driver}://{rest}")


def _check_sqlite(typed: str, separator: str, rest: str, start: str) -> None:
    """SQLite's address: three slashes and a path, of an absolute path four in all."""
    path = rest.partition("?")[0]
    if not path or path == ":memory:":
        raise ChromatuneError(
            f"{start} has no file, so nothing would be kept; write sqlite:///path/FILE.db"
        )
    start_of_path = "sqlite:///"
    if separator == "://" and "/" in path:
        raise ChromatuneError(
            f"{start} is mistyped: write {start_of_path}{rest}, or {start_of_path}/{rest} if the "
            f"path begins at the root"
        )
    if len(separator) < len(":///") or typed.partition("+")[0] != "sqlite":
        root = "/" if separator in (":/", ":////") else ""
        raise _mistyped(start, f"{start_of_path}{root}{rest}")
    file = Path("/" * (len(separator) - len(":///")) + path)
    if path.endswith("/") or file.is_dir():
        raise ChromatuneError(f"{start} is a folder: write {start_of_path}{file}/FILE.db")


def _check_network(rest: str, start: str, *, needs_host: bool) -> None:
    user, at, place = rest.rpartition("@")
    fault = _UNESCAPED.search(user) if at else None
    if fault is not None:
        other = ", or %40 for the '@' if there is no password" if fault[0] in "/?#" else ""
        raise ChromatuneError(
            f"{start} has an unescaped {fault[0]!r} in its user name or password: write "
            f"{quote(fault[0], safe='')} for it{other}"
        )
    place = re.split(r"[/?#]", place, maxsplit=1)[0]
    host, colon, port = place.rpartition(":")
    if not colon or "]" in port:
        host, port = place, ""
    if colon and not (port and _is_port(port)) and "]" not in place.rpartition(":")[2]:
        raise ChromatuneError(
            f"{start} has no port from 1 to {_LARGEST_PORT} behind its ':': write HOST:PORT, or "
            f"USER:PASSWORD@HOST"
        )
    if (host or needs_host) and not _HOST.fullmatch(host):
        raise ChromatuneError(f"{start} names no host: write HOST:PORT behind '://'")


def _is_port(text: str) -> bool:
    return bool(re.fullmatch(r"\d{1,5}", text, re.ASCII)) and 0 < int(text) <= _LARGEST_PORT


def _other_driver(address: str) -> str:
    """A driver of the same kind of database that is installed."""
    scheme = address.partition(":")[0].partition("+")[0]
    for driver, module in _DRIVERS.get(scheme, {}).items():
        if importlib.util.find_spec(module) is not None:
            return f", or write {scheme}+{driver}://..."
    return ""


def _mistyped(start: str, instead: str) -> ChromatuneError:
    return ChromatuneError(f"{start} is mistyped: write {hidden(instead)}")
