"""Downloads from a local server that fails in several ways."""

from __future__ import annotations

import hashlib
import random
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import requests

from data_prep import DATASETS, DataError, PrepareSettings, prepare
from data_prep.sources import download_zip
from tests.data_prep.builders import make_png, zipped

PAGE = (
    b'<html><form id="download-form" action="https://drive.usercontent.google.com/download">'
    b'<input type="hidden" name="id" value="abc"><input type="hidden" name="confirm" value="t">'
)
QUOTA = b'<html><p class="uc-error-subcaption">Too many users have viewed this file.</p></html>'


@dataclass
class Server:
    """The content that is served, the failures, and the ranges that were requested."""

    url: str = ""
    content: bytes = b""
    etag: str = '"one"'
    ranges: bool = True
    cut_after: list[int] = field(default_factory=list)  # one entry per request
    status: int = 200
    drive_page: bytes = b""
    requested: list[tuple[str, int]] = field(default_factory=list)


class _Handler(BaseHTTPRequestHandler):
    state: Server

    def do_GET(self) -> None:
        state = self.state
        start = int((self.headers["Range"] or "bytes=0-")[6:-1]) if state.ranges else 0
        if self.headers.get("If-Range", state.etag) != state.etag:
            start = 0
        state.requested.append((self.path, start))
        if state.status != 200:
            self.send_error(state.status)
            return
        page = state.drive_page if "confirm=t" not in self.path else b""
        body = page or state.content[start:]
        self.send_response(206 if start else 200)
        self.send_header("Content-Type", "text/html" if page else "application/zip")
        self.send_header("ETag", state.etag)
        self.send_header("Content-Length", str(len(body)))
        if not page:
            self.send_header("Content-Disposition", 'attachment; filename="pictures.zip"')
        if start:
            total = len(state.content)
            self.send_header("Content-Range", f"bytes {start}-{total - 1}/{total}")
        self.end_headers()
        self.wfile.write(body[: state.cut_after.pop(0)] if state.cut_after else body)
        self.close_connection = True

    def log_message(self, *_: object) -> None:
        """Keep the test's output clean."""


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setattr(random, "uniform", lambda _low, _high: 0.0)  # no pauses between retries
    state = Server()
    handler = type("Handler", (_Handler,), {"state": state})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as http:
        thread = threading.Thread(target=http.serve_forever, args=(0.02,))
        thread.start()
        state.url = f"http://127.0.0.1:{http.server_address[1]}/pictures.zip"
        state.content = zipped({"a.bin": np.random.RandomState(0).bytes(700_000)})
        yield state
        http.shutdown()
        thread.join()


def _get(server: Server, folder: Path, **options: Any) -> None:
    """Download the content of the server, and check that it is what it serves."""
    with closing(download_zip(server.url, folder, "x", **options)) as source:
        assert source.sha256() == hashlib.sha256(server.content).hexdigest()


def test_downloads_once_with_progress(server: Server, tmp_path: Path) -> None:
    seen: list[tuple[str, int, int]] = []
    _get(server, tmp_path, progress=lambda *event: seen.append(event))
    size = len(server.content)
    assert seen[-1] == ("download", size, size)
    assert [done for _, done, _ in seen] == sorted(done for _, done, _ in seen)
    _get(server, tmp_path)
    assert len(server.requested) == 1
    server.url += "?version=2"
    server.content = zipped({"b.bin": b"b" * 5000})
    _get(server, tmp_path)


def test_resumes_in_the_same_run_and_in_a_later_one(server: Server, tmp_path: Path) -> None:
    server.cut_after = [600_000, 50_000]
    _get(server, tmp_path / "same")
    assert [start > 0 for _, start in server.requested] == [False, True, True]
    server.cut_after = [600_000]
    with pytest.raises(DataError, match="run the command again to resume"):
        _get(server, tmp_path / "later", retries=0)
    assert not list((tmp_path / "later").glob("*.zip"))
    _get(server, tmp_path / "later")
    assert server.requested[-1][1] > 500_000


@pytest.mark.parametrize("change", [{"ranges": False}, {"etag": '"two"'}])
def test_starts_over_where_the_server_cannot_resume(
    change: dict[str, Any], server: Server, tmp_path: Path
) -> None:
    server.cut_after = [600_000]
    with pytest.raises(DataError):
        _get(server, tmp_path, retries=0)
    vars(server).update(change)
    server.content = zipped({"b.bin": np.random.RandomState(1).bytes(700_000)})
    with pytest.raises(DataError, match=r"byte range|is a damaged zip"):
        _get(server, tmp_path)
    _get(server, tmp_path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"Rar!\x1a\x07 and so on", r"sent a file that begins with b'Rar!.* instead of a zip"),
        (b" <!DOCTYPE html><html>", "sent a web page instead of a zip: download the zip in a"),
        (zipped({"a.bin": bytes(9000)})[:-500], "is a damaged zip"),
        (zipped({"a.bin": bytes(9000)}).replace(bytes(100), b"x" * 100, 1), r"damaged zip \(at a"),
    ],
)
def test_anything_but_a_whole_zip_is_rejected(
    content: bytes, message: str, server: Server, tmp_path: Path
) -> None:
    server.content = content
    with pytest.raises(DataError, match=message):
        _get(server, tmp_path)
    assert not [path for path in tmp_path.iterdir() if path.suffix != ".lock"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"status": 404}, "the server answers 404"),
        ({"status": 503}, "the server answers 503"),
        ({"url": "http://anna:hunter2@127.0.0.1:9/x.zip?token=hunter2"}, "no connection; run"),
    ],
)
def test_a_failed_download_is_one_line_without_secrets(
    change: dict[str, Any], message: str, server: Server, tmp_path: Path
) -> None:
    vars(server).update(change)
    with pytest.raises(DataError, match=message) as caught:
        _get(server, tmp_path)
    assert "hunter2" not in str(caught.value)


@pytest.fixture
def drive(server: Server, monkeypatch: pytest.MonkeyPatch) -> Server:
    """Send requests to Google Drive to the local server."""
    get = requests.Session.get

    def local(session: requests.Session, url: str, **options: Any) -> requests.Response:
        path = url.partition("google.com/")[2]
        return get(session, server.url.replace("pictures.zip", path), **options)

    monkeypatch.setattr(requests.Session, "get", local)
    server.drive_page = PAGE
    return server


def test_prepare_downloads_from_drive(drive: Server, tmp_path: Path) -> None:
    drive.content = zipped({f"ColorfulOriginal/Apple/{i}.png": make_png(i) for i in range(12)})
    prepared = prepare(PrepareSettings("ncd", size=16, augment=1), tmp_path)
    assert prepared.dataset.manifest.source.location == DATASETS["ncd"].url
    first, second = (path for path, _ in drive.requested)
    assert first == "/uc?id=1k_UvYzdrHbphW4UcbDb9jWB0ZQIAGEAo"
    assert second == "/download?id=abc&confirm=t"


def test_drives_quota_page_is_an_error(drive: Server, tmp_path: Path) -> None:
    drive.drive_page = QUOTA
    with pytest.raises(DataError, match=r"Too many users have viewed this file; run") as caught:
        prepare(PrepareSettings("ncd", size=16, augment=1), tmp_path)
    assert "\n" not in str(caught.value)


def test_prepare_downloads_an_archive_once(server: Server, tmp_path: Path) -> None:
    server.content = zipped({f"gt_db/s{i:02d}/01.png": make_png(i) for i in range(1, 16)})
    settings = PrepareSettings("faces", size=16, augment=1)
    source = prepare(settings, tmp_path, source=server.url).dataset.manifest.source
    assert (source.kind, source.location) == ("download", server.url)
    assert not prepare(settings, tmp_path, source=server.url).created
    prepare(replace(settings, seed=1), tmp_path, source=server.url)
    assert len(server.requested) == 1


def test_prepared_data_need_no_library_for_pictures_or_downloads(tmp_path: Path) -> None:
    """A training machine has torch, NumPy, OpenCV, pydantic, PyYAML, safetensors."""
    folder = prepare(PrepareSettings("synthetic-faces", size=16, count=10), tmp_path).dataset.folder
    absent = ("PIL", "gdown", "requests", "tqdm", "bs4", "pyarrow", "rich", "typer", "matplotlib")
    program = f"""
import sys
from pathlib import Path
sys.modules.update(dict.fromkeys({absent!r}))
from data_prep import open_dataset
print(open_dataset(Path({str(folder)!r})).planes("val").L.shape)
"""
    shown = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    assert shown.stdout == b"(1, 16, 16)\n"
