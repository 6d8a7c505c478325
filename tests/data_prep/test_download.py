"""Downloads, against a server on this machine that misbehaves in every way."""

from __future__ import annotations

import hashlib
import io
import threading
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

from data_prep import DATASETS, DataError, PrepareSettings, origin, prepare
from data_prep.download import Archive, download_archive

Make = Callable[..., bytes]


@dataclass
class Server:
    """What the server serves, how it misbehaves, and what it was asked."""

    url: str = ""
    content: bytes = b""
    etag: str = '"one"'
    ranges: bool = True
    cut_after: list[int] = field(default_factory=list)  # one entry a request, used up in turn
    statuses: list[int] = field(default_factory=list)
    announce: bool = True
    short_by: int = 0
    kind: str = "application/zip"
    confirm: str | None = None  # the page's method, for a Drive-like server
    asked: list[tuple[str, str | None]] = field(default_factory=list)


_FORM = """<html><form id="download-form" action="{action}" method="{method}">
<input type="hidden" name="id" value="abc"><input type="hidden" name="confirm" value="t">
<input type="hidden" name="uuid" value="u-1"><input type="submit" value="Download anyway"></form>"""


class _Handler(BaseHTTPRequestHandler):
    server_state: Server

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        self._serve(f"{self.path}?{body}")

    def do_GET(self) -> None:
        self._serve(self.path)

    def _serve(self, path: str) -> None:
        state = self.server_state
        state.asked.append((path, self.headers.get("Range")))
        if state.statuses:
            self.send_error(state.statuses.pop(0))
            return
        if state.confirm is not None and "confirm=t" not in path:
            action = "https://elsewhere.test/x" if state.confirm == "elsewhere" else "/file"
            method = "post" if state.confirm == "post" else "get"
            page = _FORM.format(action=action, method=method).encode()
            self._head(200, "text/html; charset=utf-8", len(page))
            self.wfile.write(page)
            return
        data, start = state.content, 0
        wanted = self.headers.get("Range")
        if wanted and state.ranges:
            start = int(wanted.removeprefix("bytes=").removesuffix("-"))
            if start >= len(data):
                self.send_response(416)
                self.send_header("Content-Range", f"bytes */{len(data)}")
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
        partial = bool(wanted) and state.ranges
        self._head(206 if partial else 200, state.kind, len(data) - start, start)
        end = len(data) - state.short_by
        if state.cut_after:
            end = min(end, start + state.cut_after.pop(0))
        self.wfile.write(data[start:end])
        self.close_connection = True

    def _head(self, status: int, kind: str, length: int, start: int = 0) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("ETag", self.server_state.etag)
        if self.server_state.announce:
            self.send_header("Content-Length", str(length))
        if status == 206:
            last = start + length - 1
            self.send_header("Content-Range", f"bytes {start}-{last}/{start + length}")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Keep the test's output clean."""


@pytest.fixture
def server() -> Iterator[Server]:
    state = Server()
    handler = type("Handler", (_Handler,), {"server_state": state})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as http:
        thread = threading.Thread(target=http.serve_forever, args=(0.02,))
        thread.start()
        state.url = f"http://127.0.0.1:{http.server_address[1]}/pictures.zip"
        state.content = _zip({"a.bin": np.random.RandomState(0).bytes(700_000)})
        yield state
        http.shutdown()
        thread.join()


def _zip(files: dict[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return stream.getvalue()


def _get(server: Server, folder: Path, **options: int) -> Archive:
    return download_archive(server.url, folder / "x.zip", pause_s=0.0, **options)


def _start(asked: tuple[str, str | None]) -> int:
    """Return the first byte that a request asked for."""
    return int((asked[1] or "bytes=0-").removeprefix("bytes=").removesuffix("-"))


def _whole(server: Server, archive: Archive) -> bool:
    data = archive.path.read_bytes()
    return data == server.content and archive.sha256 == hashlib.sha256(data).hexdigest()


def test_downloads_once_with_progress(server: Server, tmp_path: Path) -> None:
    seen: list[tuple[str, int, int]] = []
    archive = download_archive(
        server.url, tmp_path / "x.zip", lambda *event: seen.append(event), pause_s=0.0
    )
    assert _whole(server, archive)
    size = len(server.content)
    assert seen[-1] == ("download", size, size)
    assert [done for _, done, _ in seen] == sorted(done for _, done, _ in seen)
    assert _get(server, tmp_path) == archive
    assert len(server.asked) == 1
    assert {p.name for p in tmp_path.iterdir()} == {"x.zip", "x.zip.json", ".x.zip.lock"}


def test_goes_on_where_the_connection_was_cut(server: Server, tmp_path: Path) -> None:
    server.cut_after = [300_000, 200_000]
    assert _whole(server, _get(server, tmp_path))
    first, second = (_start(asked) for asked in server.asked[1:])
    assert 280_000 < first <= 300_000
    assert first + 180_000 < second <= first + 200_000


def test_goes_on_in_a_later_run(server: Server, tmp_path: Path) -> None:
    server.cut_after = [250_000, 0, 0]
    with pytest.raises(DataError, match=r"broke off .* after 2\d{5} bytes, 2 times.*run the same"):
        _get(server, tmp_path, attempts=2)
    assert not (tmp_path / "x.zip").exists()
    assert _whole(server, _get(server, tmp_path))
    assert 230_000 < _start(server.asked[-1]) <= 250_000


def test_a_server_that_ignores_ranges_is_read_from_the_start(
    server: Server, tmp_path: Path
) -> None:
    server.ranges, server.cut_after = False, [300_000]
    assert _whole(server, _get(server, tmp_path))
    assert len(server.asked) == 2
    assert _start(server.asked[1]) > 280_000


def test_two_versions_are_never_mixed(server: Server, tmp_path: Path) -> None:
    server.cut_after = [300_000, 0]
    with pytest.raises(DataError):
        _get(server, tmp_path, attempts=1)
    server.content = _zip({"b.bin": np.random.RandomState(1).bytes(700_000)})
    server.etag = '"two"'
    server.cut_after = []
    assert _whole(server, _get(server, tmp_path))


def test_all_had_arrived_before(server: Server, tmp_path: Path) -> None:
    server.cut_after = [300_000, 0]
    with pytest.raises(DataError):
        _get(server, tmp_path, attempts=1)
    (tmp_path / "x.zip.part").write_bytes(server.content)
    server.cut_after = []
    assert _whole(server, _get(server, tmp_path))
    assert server.asked[-1][1] == f"bytes={len(server.content)}-"


def test_more_than_there_should_be_is_begun_anew(server: Server, tmp_path: Path) -> None:
    server.cut_after = [300_000, 0]
    with pytest.raises(DataError):
        _get(server, tmp_path, attempts=1)
    (tmp_path / "x.zip.part").write_bytes(server.content + b"more")
    server.cut_after = []
    assert _whole(server, _get(server, tmp_path))


def test_short_content_is_an_error_that_keeps_the_part(server: Server, tmp_path: Path) -> None:
    server.short_by = 100
    with pytest.raises(DataError, match="broke off"):
        _get(server, tmp_path, attempts=3)
    assert not (tmp_path / "x.zip").exists()
    server.short_by = 0
    assert _whole(server, _get(server, tmp_path))


def test_without_a_length_a_cut_zip_is_found_out(server: Server, tmp_path: Path) -> None:
    server.announce, server.cut_after = False, [300_000]
    with pytest.raises(DataError, match="not a whole zip"):
        _get(server, tmp_path)
    assert _whole(server, _get(server, tmp_path))


def test_wrong_content_is_an_error_that_shows_it(server: Server, tmp_path: Path) -> None:
    server.content = b"Rar!\x1a\x07 and so on"
    with pytest.raises(DataError, match=r"not a whole zip .*begin with b'Rar!"):
        _get(server, tmp_path)
    assert not list(tmp_path.glob("*.part"))
    server.kind = "text/html"
    with pytest.raises(DataError, match="sent a web page instead of a zip"):
        _get(server, tmp_path)


def test_a_damaged_zip_is_an_error(server: Server, tmp_path: Path) -> None:
    server.content = server.content[:5000] + b"XXXX" + server.content[5004:]
    with pytest.raises(DataError, match=r"damaged at a\.bin"):
        _get(server, tmp_path)


def test_a_busy_server_is_asked_again_and_a_missing_file_is_not(
    server: Server, tmp_path: Path
) -> None:
    server.statuses = [503, 429]
    assert _whole(server, _get(server, tmp_path))
    server.statuses = [404]
    asked = len(server.asked)
    with pytest.raises(DataError, match="the server answers 404"):
        _get(server, tmp_path / "other")
    assert len(server.asked) == asked + 1


def test_nobody_there(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no connection"):
        download_archive("http://127.0.0.1:9/x.zip", tmp_path / "x.zip", attempts=2, pause_s=0.0)


def test_a_changed_file_is_fetched_again(server: Server, tmp_path: Path) -> None:
    archive = _get(server, tmp_path)
    archive.path.write_bytes(server.content[:-1] + b"?")
    assert _whole(server, _get(server, tmp_path))
    assert len(server.asked) == 2


@pytest.mark.parametrize("method", ["get", "post"])
def test_drives_confirm_page_is_passed(method: str, server: Server, tmp_path: Path) -> None:
    server.confirm, server.cut_after = method, [300_000]
    assert _whole(server, _get(server, tmp_path))
    assert server.asked[1][0] == "/file?id=abc&confirm=t&uuid=u-1"
    assert _start(server.asked[3]) > 280_000


def test_a_form_that_leads_elsewhere_is_not_followed(server: Server, tmp_path: Path) -> None:
    server.confirm = "elsewhere"
    with pytest.raises(DataError, match="web page"):
        _get(server, tmp_path)


def test_prepare_downloads_the_official_archive(
    server: Server, tmp_path: Path, make_png: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.content = _zip({f"gt_db/s{i:02d}/01.png": make_png(i) for i in range(1, 16)})
    faces = replace(DATASETS["faces"], url=server.url)
    monkeypatch.setitem(DATASETS, "faces", faces)  # type: ignore[arg-type]
    settings = PrepareSettings("faces", size=16, augment=1)
    prepared = prepare(settings, tmp_path)
    source = prepared.dataset.manifest.source
    assert (source.kind, source.location) == ("download", server.url)
    assert source.sha256 == hashlib.sha256(server.content).hexdigest()
    assert not prepare(settings, tmp_path).created
    prepare(replace(settings, seed=1), tmp_path)
    assert len(server.asked) == 1
    assert not prepare(settings, tmp_path, source=server.url).created


def test_prepare_downloads_from_drive(
    server: Server, tmp_path: Path, make_png: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.confirm = "get"
    server.content = _zip({f"ColorfulOriginal/Apple/{i}.png": make_png(i) for i in range(12)})
    monkeypatch.setattr(origin, "DRIVE_URL", server.url.replace("pictures.zip", "uc"))
    prepare(PrepareSettings("ncd", size=16, augment=1), tmp_path)
    assert server.asked[0][0] == "/uc?export=download&id=1k_UvYzdrHbphW4UcbDb9jWB0ZQIAGEAo"
