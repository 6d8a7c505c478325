"""Zips from the web or from Google Drive, downloaded once and checked before they are used."""

from __future__ import annotations

import hashlib
import re
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

from data_prep.errors import DataError
from data_prep.parallel import Progress
from data_prep.sources.zip import ZipSource
from data_prep.workspace import locked, writing_to

_SECRET = re.compile(r"(?i)token|sig|secret|key|passw|pwd|credential|auth")
_RETRIES = 5
_TIMEOUT_S = 60
_BY_HAND = "download the zip in a browser and give it as the source"


def download_zip(
    url: str, folder: Path, name: str, progress: Progress | None = None, *, retries: int = _RETRIES
) -> ZipSource:
    """Open the zip at `url`, downloading it into `folder` unless it is already there.

    An interrupted download is resumed, by this call or by a later one. The zip gets its final name
    only after all its checksums are right. Raises DataError if it cannot be had.
    """
    path = folder / f"{name}-{hashlib.sha256(url.encode()).hexdigest()[:12]}.zip"
    location = without_secrets(url)
    with writing_to(folder):
        folder.mkdir(parents=True, exist_ok=True)
    with locked(path.with_name(f".{path.name}.lock")):
        if not path.exists():
            unchecked = path.with_suffix(".unchecked")
            _download(url, unchecked, progress, retries)
            try:
                _check(unchecked, location)
            except DataError:
                unchecked.unlink()
                raise
            unchecked.rename(path)
    return ZipSource(path, "download", location)


def without_secrets(url: str) -> str:
    """Remove user and password from a URL, and query parameters that look like credentials."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return "an invalid URL"
    pairs = parse_qsl(parts.query, keep_blank_values=True)
    kept = [(name, value) for name, value in pairs if not _SECRET.search(name)]
    query = parts.query if kept == pairs else urlencode(kept)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2], query=query).geturl()


def _download(url: str, path: Path, progress: Progress | None, retries: int) -> None:
    # Imported here: prepared data and pictures on this machine need neither.
    import gdown
    import requests

    def report(done: int, total: int | None) -> None:
        if progress is not None:
            progress("download", done, total or 0)

    options: dict[str, Any] = {
        "quiet": True,
        "use_cookies": False,
        "resume": True,
        "timeout": _TIMEOUT_S,
    }
    with writing_to(path.parent):
        try:
            gdown.download(url, str(path), retries=retries, progress=report, **options)
        except (requests.RequestException, gdown.DownloadError) as error:
            cause = error.__cause__ or error
            if not isinstance(cause, requests.RequestException):
                # The server cannot resume, or its file has changed: the next attempt starts over.
                for part in path.parent.glob(f"{path.name}*.part"):
                    part.unlink()
            if isinstance(error, requests.HTTPError):
                reason = f"the server answers {error.response.status_code} {error.response.reason}"
            elif type(cause) in (requests.ConnectionError, requests.Timeout):
                reason = "no connection"
            else:
                reason = " ".join(str(error).partition("You may still")[0].split()).rstrip(".")
            raise DataError(
                f"cannot download {without_secrets(url)}: {reason}; run the command again to "
                f"resume, or {_BY_HAND}"
            ) from None


def _check(path: Path, location: str) -> None:
    """Raise DataError unless the file is a whole zip that is safe to read."""
    with path.open("rb") as stream:
        start = stream.read(64)
    if not start.startswith(b"PK"):
        page = start.lstrip().startswith(b"<")
        sent = "a web page" if page else f"a file that begins with {start[:16]!r}"
        raise DataError(f"{location} sent {sent} instead of a zip: {_BY_HAND}")
    with closing(ZipSource(path, "download", location)) as source:
        source.check_contents()
