"""The HTTP API: images in, images out; what it refuses, and what it withstands."""

from __future__ import annotations

import http.client
import io
import socket
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import requests
from PIL import Image

from data_prep import rgb_to_lab
from tests.tuning.serve.builders import PATIENCE_S, TOKEN, photo, pixels, wait_until
from tuning.serve import app as app_module
from tuning.serve.upload import HEADERS

pytestmark = pytest.mark.filterwarnings("ignore:::PIL")


def post(server: Any, data: Any, **options: Any) -> requests.Response:
    return requests.post(f"{server.url}/colorize", data=data, timeout=PATIENCE_S, **options)


def detail(answer: requests.Response) -> str:
    """The one line of a refusal."""
    assert answer.headers["content-type"] == "application/json"
    line = answer.json()["detail"]
    assert isinstance(line, str)
    assert "\n" not in line
    return line


@pytest.mark.parametrize("size", [(40, 30), (1, 1), (700, 3)])
def test_an_image_is_colorized_at_its_own_size(served: Any, size: tuple[int, int]) -> None:
    gray = photo(*size, gray=True)
    answer = post(served, gray, params={"mode": "faces"})
    assert (answer.status_code, answer.headers["content-type"]) == (200, "image/png")
    made = rgb_to_lab(pixels(answer.content))
    assert made.shape == (size[1], size[0], 3)
    before = np.asarray(Image.open(io.BytesIO(gray)).convert("RGB"))
    assert np.abs(made[..., 0].astype(int) - rgb_to_lab(before)[..., 0]).max() <= 1
    assert np.abs(made[..., 1:].mean(axis=(0, 1)) - (0.55 * 255, 0.56 * 255)).max() < 2


def test_the_headers_hold_the_model_and_the_means(served: Any) -> None:
    headers = post(served, photo(), params={"mode": "faces"}).headers
    assert {name: headers[name] for name in HEADERS} == {
        "Chromatune-Model": "faces-colorizer",
        "Chromatune-Model-Version": "2",
        "Chromatune-Model-Uri": "models:/faces-colorizer/2",
        "Chromatune-Mean-A": f"{0.52 * 255 - 128:.3f}",
        "Chromatune-Mean-B": f"{0.54 * 255 - 128:.3f}",
        "Chromatune-Mean-By": "faces-regression version 1",
        "Chromatune-Painted-Mean-A": f"{0.55 * 255 - 128:.3f}",
        "Chromatune-Painted-Mean-B": f"{0.56 * 255 - 128:.3f}",
        "Chromatune-Input": "colour",
        "Chromatune-Notes": "",
    }
    headers = post(served, photo(gray=True), params={"mode": "ncd"}).headers  # has no regressor
    assert headers["Chromatune-Mean-By"] == "ncd-colorizer version 1"
    assert headers["Chromatune-Mean-A"] == headers["Chromatune-Painted-Mean-A"]
    assert headers["Chromatune-Input"] == "grayscale"


def test_a_form_or_a_body_chooses_a_mode_or_a_version(served: Any) -> None:
    body = post(served, photo(), params={"mode": "ncd"})
    for form in (
        post(served, None, files={"file": photo()}, params={"mode": "ncd"}),
        post(served, {"mode": "ncd"}, files={"file": ("a.png", photo(), "image/png")}),
        post(served, {"model": "models:/ncd-colorizer/1"}, files={"file": photo()}),
    ):
        assert form.content == body.content
        assert form.headers["Chromatune-Model"] == "ncd-colorizer"
    older = post(served, photo(), params={"model": "models:/faces-colorizer/1"})
    assert older.headers["Chromatune-Model-Version"] == "1"


def test_champions_versions_and_missing_champions_are_listed(served: Any) -> None:
    found = requests.get(f"{served.url}/models", timeout=PATIENCE_S).json()
    assert {mode["mode"]: mode["label"] for mode in found["modes"]} == {
        "faces": "Faces",
        "ncd": "NCD",
    }
    assert found["modes"][0]["champion"]["uri"] == "models:/faces-colorizer/2"
    assert [version["version"] for version in found["versions"]] == [2, 1, 1]
    assert found["missing"] == []
    served.cache.cards = []
    found = requests.get(f"{served.url}/models", timeout=PATIENCE_S).json()
    assert found["modes"] == found["versions"] == []
    assert found["missing"] == ["Faces", "NCD"]
    assert "chromatune reproduce" in found["advice"]


def _form(kind: str = "multipart/form-data; boundary=x") -> dict[str, Any]:
    return {"headers": {"Content-Type": kind}}


TEXT = b'--x\r\nContent-Disposition: form-data; name="file"\r\n\r\ntext\r\n--x--\r\n'
NO_NAME = b"--x\r\nContent-Disposition: nonsense\r\n\r\ntext\r\n--x--\r\n"


@pytest.mark.parametrize(
    ("body", "options", "code", "line"),
    [
        (b"", {}, 422, "empty file"),
        (b"words", {}, 422, "not a readable image"),
        (None, {"params": {"mode": "nobody"}}, 404, "no such thing: nobody"),
        (None, {"params": {"model": "models:/x/1"}}, 404, "no such thing: models:/x/1"),
        (None, {"params": {"mode": "faces", "model": "m"}}, 422, "give one of them"),
        (None, {"params": {"mode": "x" * 200}}, 422, "mode: String should have at most"),
        (TEXT, _form(), 422, "no file in the field 'file'"),
        (b"", _form(), 422, "no file"),
        (b"--x\r\nbroken", _form(), 422, "no file"),
        (NO_NAME, _form(), 400, ""),
        (TEXT, _form("multipart/form-data"), 400, "Missing boundary"),
    ],
)
def test_errors_are_one_line(
    served: Any, body: bytes | None, options: Any, code: int, line: str
) -> None:
    """`None` stands for a good image."""
    answer = post(served, photo() if body is None else body, **options)
    assert answer.status_code == code, answer.text
    assert line in detail(answer)


def test_a_file_of_too_many_bytes_or_pixels_is_rejected(serve: Any) -> None:
    served = serve(max_bytes=100_000, max_pixels=1200)
    for body, line in (
        (bytes(400_000), "the upload is over 0.1 MB"),
        ((bytes(10_000) for _ in range(40)), "Content Too Large"),  # sent in chunks
        (photo(40, 31), "the image is over 0.0012 megapixels (40x31)"),
    ):
        answer = post(served, body)
        assert (answer.status_code, detail(answer)) == (413, line)
    assert post(served, photo(40, 30)).status_code == 200


def test_a_full_queue_gives_503_and_retry_after(serve: Any) -> None:
    served = serve(max_waiting=3, workers=1)
    served.cache.gate.clear()

    def held() -> int:
        return int(requests.get(f"{served.url}/health", timeout=PATIENCE_S).json()["held"])

    with ThreadPoolExecutor(3) as pool:
        waiting = [pool.submit(post, served, photo()) for _ in range(3)]
        wait_until(lambda: held() == 3)
        for _ in range(3):
            refused = post(served, photo(400, 300))
            assert refused.status_code == 503
            assert refused.headers["Retry-After"] == "1"
            assert detail(refused) == "the queue of 3 images is full"
        assert requests.get(f"{served.url}/models", timeout=PATIENCE_S).status_code == 200
        served.cache.gate.set()
        assert [future.result().status_code for future in waiting] == [200] * 3
    assert held() == 0
    assert post(served, photo()).status_code == 200


def raw(served: Any, request: str) -> socket.socket:
    """Open a connection and send the beginning of a request."""
    port = int(served.url.rpartition(":")[2])
    connection = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_S)
    connection.sendall(request.replace("\n", "\r\n").encode())
    return connection


UPLOAD = "POST /colorize HTTP/1.1\nHost: 127.0.0.1\nContent-Length: 1000\n\nhalf"


def test_an_upload_that_never_ends_or_breaks_off_loses_its_place(serve: Any) -> None:
    served = serve(upload_seconds=0.5, max_waiting=1)
    with raw(served, UPLOAD) as connection, http.client.HTTPResponse(connection) as answer:
        answer.begin()
        assert answer.status == 408
        assert b"took longer than 0.5 s" in answer.read()
    wait_until(lambda: post(served, photo()).status_code == 200)
    served = serve(max_waiting=1)
    raw(served, UPLOAD).close()
    wait_until(lambda: post(served, photo()).status_code == 200)


@pytest.mark.parametrize(
    ("host", "code"),
    [
        *(("localhost", 200), ("LOCALHOST:99", 200), ("[::1]:8000", 200), ("box.example:1", 200)),
        *(("evil.example", 400), ("127.0.0.1.evil.example", 400), ("", 400), ("[::2]:80", 400)),
    ],
)
def test_only_its_own_names_are_answered(serve: Any, host: str, code: int) -> None:
    """A page of another site could point its own name to this machine."""
    served = serve(hosts=frozenset(["127.0.0.1", "localhost", "[::1]", "box.example"]))
    answer = requests.get(f"{served.url}/models", headers={"Host": host}, timeout=PATIENCE_S)
    assert answer.status_code == code
    assert code == 200 or "does not name this server" in detail(answer)
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


def test_with_a_token_only_its_bearers_are_served(guarded: Any) -> None:
    for words in (None, "Bearer wrong-horse-battery", f"Basic {TOKEN}", "Bearer \xc3\xbc"):
        headers = {} if words is None else {"Authorization": words}
        models = requests.get(f"{guarded.url}/models", headers=headers, timeout=PATIENCE_S)
        for answer in (post(guarded, photo(), headers=headers), models):
            assert answer.status_code == 401
            assert answer.headers["WWW-Authenticate"] == "Bearer"
            assert TOKEN not in answer.text
    right = {"Authorization": f"Bearer {TOKEN}"}
    assert post(guarded, photo(), headers=right).status_code == 200
    # The page is open: it asks for the token.
    assert requests.get(guarded.url, timeout=PATIENCE_S).status_code == 200


def test_every_answer_keeps_other_sites_out(served: Any) -> None:
    addresses = ["/", "/docs", "/static/page.js", "/models", "/nothing", "/openapi.json"]
    answers = [requests.get(served.url + path, timeout=PATIENCE_S) for path in addresses]
    for answer in (*answers, post(served, photo()), post(served, b"")):
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
        assert "access-control-allow-origin" not in answer.headers


def test_the_page_needs_nothing_from_elsewhere() -> None:
    folder = Path(app_module.__file__).with_name("page")
    files = sorted(folder.iterdir())
    assert {file.suffix for file in files} == {".html", ".js", ".css", ".svg"}
    for file in files:
        text = file.read_text().replace('xmlns="http://www.w3.org/2000/svg"', "")
        assert "http:" not in text
        assert "https:" not in text
        assert "innerHTML" not in text
