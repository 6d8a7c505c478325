"""One attempt at a download, going on where an earlier one broke off."""

from __future__ import annotations

import json
import re
from contextlib import suppress
from pathlib import Path
from typing import Any

import requests

from data_prep.address import mark_of
from data_prep.drive import confirm_form
from data_prep.errors import DataError
from data_prep.parallel import Progress
from data_prep.workspace import writing_to

# What has arrived of an unfinished chunk is lost when the connection is cut, so chunks are small.
_CHUNK = 1 << 14
_TIMEOUT_S = (10, 60)
_RETRY_STATUS = frozenset({408, 425, 429, 500, 502, 503, 504})
_CONTENT_RANGE = re.compile(r"bytes (\d+)-\d+/(\d+)")


class BrokenOffError(Exception):
    """The connection failed before the file was whole; another attempt may go on from there."""


class PartialFile:
    """What has arrived so far, and beside it (`.json`) which version of which file it is of."""

    def __init__(self, path: Path, url: str) -> None:
        self.path = path
        self._mark = mark_of(url)
        self._note = path.with_name(f"{path.name}.json")

    def size(self) -> int:
        return self.path.stat().st_size if self.path.exists() else 0

    def version(self) -> str | None:
        """Return the version that was noted when the file was begun; None if nothing can go on."""
        try:
            note: Any = json.loads(self._note.read_text())
        except (OSError, ValueError):
            return None
        known = isinstance(note, dict) and note.get("url") == self._mark and self.size() > 0
        return str(note.get("version")) if known else None

    def begin(self, version: str) -> None:
        """Start over with nothing, for this version of the file."""
        with writing_to(self.path.parent):
            self.path.write_bytes(b"")
            self._note.write_text(json.dumps({"url": self._mark, "version": version}))

    def append(self, response: requests.Response, total: int, progress: Progress | None) -> None:
        """Write all that the response sends; BrokenOffError if it ends before its time."""
        done = self.size()
        with writing_to(self.path.parent):
            stream = self.path.open("ab")
        with stream:
            try:
                for chunk in response.iter_content(_CHUNK):
                    with writing_to(self.path.parent):
                        stream.write(chunk)
                    done += len(chunk)
                    if progress is not None:
                        progress("download", done, total)
            except requests.RequestException as error:
                raise BrokenOffError(_reason(error)) from None

    def discard(self) -> None:
        self.path.unlink(missing_ok=True)
        self._note.unlink(missing_ok=True)

    def move_to(self, path: Path) -> None:
        self.path.replace(path)
        self._note.unlink(missing_ok=True)


def fetch(part: PartialFile, url: str, progress: Progress | None) -> None:
    """Bring `part` to its full length. BrokenOffError if it may be tried again, DataError if not.

    A server that ignores the request to go on sends all of it again; one whose file has changed
    since is asked for all of it.
    """
    with requests.Session() as session:
        version = part.version()
        with _open(session, url, part.size() if version is not None else 0) as response:
            if response.headers.get("Content-Range") == f"bytes */{part.size()}":
                return  # All of it had arrived before.
            if response.status_code == 416 or not _continues(response, part, version):
                part.discard()
            if response.status_code == 416:
                raise BrokenOffError("the server's file is shorter than what is here")
            if response.status_code == 206 and part.size() == 0:
                raise BrokenOffError("the server's file has changed")
            if response.status_code == 200:
                part.begin(_version(response))
            total = _total(response)
            part.append(response, total, progress)
    if total and part.size() < total:
        raise BrokenOffError(f"{part.size()} of {total} bytes")
    if total and part.size() > total:
        part.discard()
        raise BrokenOffError("more bytes than announced")


def _open(session: requests.Session, url: str, start: int) -> requests.Response:
    """Request the file, passing Drive's confirm page on the way."""
    # Lengths and ranges are those of the file only if it is sent as it is.
    headers = {"Accept-Encoding": "identity"}
    if start:
        headers["Range"] = f"bytes={start}-"
    response = _request(session, "get", url, {}, headers)
    if _is_page(response):
        form = confirm_form(_page_text(response), response.url)
        response.close()
        if form is not None:
            response = _request(session, form.method, form.url, form.fields, headers)
    if _is_page(response):
        response.close()
        raise DataError(
            f"{url} sent a web page instead of a zip (a login, a quota or a moved file): open it "
            "in a browser, save the zip, and give it as the source"
        )
    return response


def _request(
    session: requests.Session,
    method: str,
    url: str,
    fields: dict[str, str],
    headers: dict[str, str],
) -> requests.Response:
    try:
        response = session.request(
            method,
            url,
            params=fields if method == "get" else None,
            data=fields if method == "post" else None,
            headers=headers,
            stream=True,
            timeout=_TIMEOUT_S,
        )
    except (requests.exceptions.InvalidURL, requests.exceptions.InvalidSchema) as error:
        raise DataError(f"{url} is no address that can be downloaded ({error})") from None
    except requests.RequestException as error:
        raise BrokenOffError(_reason(error)) from None
    if response.status_code in _RETRY_STATUS:
        response.close()
        raise BrokenOffError(f"HTTP {response.status_code}")
    if response.status_code not in (200, 206, 416):
        response.close()
        raise DataError(
            f"{url} cannot be downloaded: the server answers {response.status_code} "
            f"{response.reason}; fetch the zip by hand and give it as the source"
        )
    return response


def _is_page(response: requests.Response) -> bool:
    kind = response.headers.get("Content-Type", "").lower()
    return response.status_code != 416 and kind.startswith(("text/html", "application/xhtml"))


def _page_text(response: requests.Response) -> str:
    with suppress(requests.RequestException):
        return response.raw.read(1 << 20).decode("utf-8", "replace")
    return ""


def _continues(response: requests.Response, part: PartialFile, version: str | None) -> bool:
    """Tell whether the answer is the rest of what is here: same version, from the next byte on."""
    match = _CONTENT_RANGE.fullmatch(response.headers.get("Content-Range", ""))
    return (
        response.status_code == 206
        and match is not None
        and int(match[1]) == part.size()
        and version == _version(response)
    )


def _version(response: requests.Response) -> str:
    """Return what tells one version of a file from another, whether all or a range was sent."""
    marks = [response.headers.get(name, "") for name in ("ETag", "Last-Modified")]
    return "|".join([*marks, str(_total(response))])


def _total(response: requests.Response) -> int:
    """Return the length of the whole file, 0 if the server does not tell."""
    match = _CONTENT_RANGE.fullmatch(response.headers.get("Content-Range", ""))
    if match is not None:
        return int(match[2])
    length = response.headers.get("Content-Length", "")
    return int(length) if length.isdigit() else 0


def _reason(error: requests.RequestException) -> str:
    if isinstance(error, requests.Timeout):
        return "timed out"
    if isinstance(error, requests.exceptions.SSLError):
        return "the secure connection failed"
    if isinstance(error, requests.ConnectionError):
        return "no connection, or it was cut"
    return "the connection was cut"
