"""The HTTP API: images in, images out; what it refuses, and what it withstands."""

from __future__ import annotations

import http.client
import io
import json
import socket
import struct
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest
import requests
from PIL import Image

from data_prep import rgb_to_lab
from tuning.serve import app as app_module
from tuning.serve.colorize import HEADERS

pytestmark = pytest.mark.filterwarnings("ignore:::PIL")

Photo = Callable[..., bytes]
TIMEOUT_S = 120


def post(server: Any, data: Any, **options: Any) -> requests.Response:
    return requests.post(f"{server.url}/colorize", data=data, timeout=TIMEOUT_S, **options)


def detail(answer: requests.Response) -> str:
    """The one line of a refusal."""
    assert answer.headers["content-type"] == "application/json"
    line = answer.json()["detail"]
    assert isinstance(line, str)
    assert "\n" not in line
    return line


@pytest.mark.parametrize("size", [(40, 30), (1, 1), (700, 3)])
def test_a_picture_comes_back_in_colour_at_its_own_size(
    served: Any, photo: Photo, pixels: Any, size: tuple[int, int]
) -> None:
    answer = post(served, photo(*size, gray=True), params={"mode": "faces"})
    assert (answer.status_code, answer.headers["content-type"]) == (200, "image/png")
    made = rgb_to_lab(pixels(answer.content))
    assert made.shape == (size[1], size[0], 3)
    before = pixels_of(photo(*size, gray=True))
    assert np.abs(made[..., 0].astype(int) - rgb_to_lab(before)[..., 0]).max() <= 1
    assert np.abs(made[..., 1].mean() - 0.55 * 255) < 2
    assert np.abs(made[..., 2].mean() - 0.56 * 255) < 2


def pixels_of(data: bytes) -> Any:
    with Image.open(io.BytesIO(data)) as image:
        return np.asarray(image.convert("RGB"))


def test_the_headers_hold_the_model_and_the_means(served: Any, photo: Photo) -> None:
    headers = post(served, photo(), params={"mode": "faces"}).headers
    assert set(HEADERS) <= {name.title() for name in headers}
    assert headers["Chromatune-Model"] == "faces-colorizer"
    assert headers["Chromatune-Model-Version"] == "2"
    assert headers["Chromatune-Model-Uri"] == "models:/faces-colorizer/2"
    assert headers["Chromatune-Mean-By"] == "faces-regression version 1"
    assert headers["Chromatune-Input"] == "colour"
    means = [float(headers[f"Chromatune-{name}"]) for name in ("Mean-A", "Mean-B")]
    assert means == pytest.approx([0.52 * 255 - 128, 0.54 * 255 - 128], abs=1e-3)
    painted = [float(headers[f"Chromatune-Painted-{name}"]) for name in ("Mean-A", "Mean-B")]
    assert painted == pytest.approx([0.55 * 255 - 128, 0.56 * 255 - 128], abs=1e-3)


def test_without_a_regressor_the_mean_is_the_colorizer_s(served: Any, photo: Photo) -> None:
    headers = post(served, photo(gray=True), params={"mode": "ncd"}).headers
    assert headers["Chromatune-Mean-By"] == "ncd-colorizer version 1"
    assert headers["Chromatune-Mean-A"] == headers["Chromatune-Painted-Mean-A"]
    assert headers["Chromatune-Input"] == "grayscale"


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "TIFF", "BMP", "GIF", "JPEG2000", "AVIF"])
def test_formats(served: Any, photo: Photo, pixels: Any, kind: str) -> None:
    assert pixels(post(served, photo(kind=kind)).content).shape == (30, 40, 3)


def test_a_form_or_a_body_chooses_a_mode_or_a_version(served: Any, photo: Photo) -> None:
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


def test_modes_and_versions_are_listed(served: Any) -> None:
    found = requests.get(f"{served.url}/models", timeout=TIMEOUT_S).json()
    assert [(mode["mode"], mode["label"]) for mode in found["modes"]] == [
        ("faces", "Faces"),
        ("ncd", "NCD"),
    ]
    assert found["modes"][0]["champion"]["uri"] == "models:/faces-colorizer/2"
    assert [version["version"] for version in found["versions"]] == [2, 1, 1]
    assert found["missing"] == []


def test_missing_champions_are_listed(served: Any) -> None:
    served.cache.cards = []
    found = requests.get(f"{served.url}/models", timeout=TIMEOUT_S).json()
    assert found["modes"] == found["versions"] == []
    assert found["missing"] == ["Faces", "NCD"]
    assert "chromatune reproduce" in found["advice"]


def _bomb() -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        crc = struct.pack(">I", zlib.crc32(kind + data))
        return struct.pack(">I", len(data)) + kind + data + crc

    header = struct.pack(">IIBBBBB", 100_000, 100_000, 8, 0, 0, 0, 0)
    start = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header)
    return start + chunk(b"IDAT", zlib.compress(bytes(10**6))) + chunk(b"IEND", b"")


@pytest.mark.parametrize(
    ("make", "params", "code", "line"),
    [
        (lambda _: b"", {}, 422, "empty file"),
        (lambda _: b"words", {}, 422, "not a readable picture"),
        (lambda photo: photo()[:200], {}, 422, "not a readable picture"),
        (lambda _: _bomb(), {}, 413, "the picture is over 50 megapixels"),
        (lambda photo: photo(), {"mode": "nobody"}, 404, "no such thing: nobody"),
        (lambda photo: photo(), {"model": "models:/x/1"}, 404, "no such thing: models:/x/1"),
        (lambda photo: photo(), {"mode": "faces", "model": "m"}, 422, "give one of them"),
        (lambda photo: photo(), {"mode": "x" * 200}, 422, "mode: String should have at most"),
    ],
)
def test_errors_are_one_line(
    served: Any, photo: Photo, make: Any, params: dict[str, str], code: int, line: str
) -> None:
    answer = post(served, make(photo), params=params)
    assert answer.status_code == code
    assert line in detail(answer)


FORM = "multipart/form-data"
TEXT = b'--x\r\nContent-Disposition: form-data; name="file"\r\n\r\ntext\r\n--x--\r\n'
NO_NAME = b"--x\r\nContent-Disposition: nonsense\r\n\r\ntext\r\n--x--\r\n"


@pytest.mark.parametrize(
    ("body", "kind", "code", "line"),
    [
        (TEXT, f"{FORM}; boundary=x", 422, "no file in the field 'file'"),
        (b"", f"{FORM}; boundary=x", 422, "no file"),
        (b"--x\r\nbroken", f"{FORM}; boundary=x", 422, "no file"),
        (NO_NAME, f"{FORM}; boundary=x", 400, ""),
        (TEXT, FORM, 400, "Missing boundary"),
    ],
)
def test_broken_forms_are_refused(
    served: Any, body: bytes, kind: str, code: int, line: str
) -> None:
    answer = post(served, body, headers={"Content-Type": kind})
    assert answer.status_code == code, answer.text
    assert line in detail(answer)


@pytest.mark.parametrize("chunked", [False, True])
def test_a_file_of_too_many_bytes_is_refused(serve: Any, photo: Photo, chunked: bool) -> None:
    served = serve(max_bytes=100_000)

    def parts() -> Iterator[bytes]:
        for _ in range(40):
            yield bytes(10_000)

    answer = post(served, parts() if chunked else bytes(400_000))
    assert answer.status_code == 413
    assert detail(answer) == ("Content Too Large" if chunked else "the upload is over 0.1 MB")
    assert post(served, photo()).status_code == 200


def test_a_picture_of_too_many_pixels_is_refused(serve: Any, photo: Photo) -> None:
    served = serve(max_pixels=1000)
    answer = post(served, photo(40, 30))
    assert (answer.status_code, detail(answer)) == (
        413,
        "the picture is over 0.001 megapixels (40x30)",
    )
    assert post(served, photo(40, 25)).status_code == 200


def test_a_full_queue_gives_503_and_retry_after(serve: Any, photo: Photo, wait_until: Any) -> None:
    served = serve(max_waiting=3, workers=1)
    served.cache.gate.clear()

    def held() -> int:
        return int(requests.get(f"{served.url}/health", timeout=TIMEOUT_S).json()["held"])

    with ThreadPoolExecutor(3) as pool:
        waiting = [pool.submit(post, served, photo()) for _ in range(3)]
        wait_until(lambda: held() == 3)
        for _ in range(3):
            refused = post(served, photo(400, 300))
            assert refused.status_code == 503
            assert refused.headers["Retry-After"] == "1"
            assert detail(refused) == "the queue of 3 images is full"
        served.cache.gate.set()
        assert [future.result().status_code for future in waiting] == [200] * 3
    assert held() == 0
    assert post(served, photo()).status_code == 200


def test_many_at_once_all_get_their_own_picture(serve: Any, photo: Photo, pixels: Any) -> None:
    served = serve(max_waiting=40)
    sizes = [(20 + number, 30) for number in range(24)]
    with ThreadPoolExecutor(12) as pool:
        answers = list(pool.map(lambda size: post(served, photo(*size)), sizes))
    assert [pixels(answer.content).shape[1::-1] for answer in answers] == sizes


def raw(served: Any, head: str) -> socket.socket:
    """Open a connection and send the beginning of a request."""
    connection = socket.create_connection(("127.0.0.1", served.port), timeout=TIMEOUT_S)
    connection.sendall(head.replace("\n", "\r\n").encode())
    return connection


UPLOAD = "POST /colorize HTTP/1.1\nHost: 127.0.0.1\nContent-Length: 1000\n\nhalf"


def test_an_upload_that_never_ends_loses_its_place(serve: Any, wait_until: Any) -> None:
    served = serve(upload_seconds=0.5, max_waiting=1)
    with raw(served, UPLOAD) as connection, http.client.HTTPResponse(connection) as answer:
        answer.begin()
        assert answer.status == 408
        assert b"took longer than 0.5 s" in answer.read()
    health = f"{served.url}/health"
    wait_until(lambda: requests.get(health, timeout=TIMEOUT_S).json()["held"] == 0)


def test_an_upload_that_breaks_off_loses_its_place(
    serve: Any, photo: Photo, wait_until: Any
) -> None:
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
    answer = requests.get(f"{served.url}/models", headers={"Host": host}, timeout=TIMEOUT_S)
    assert answer.status_code == code
    assert code == 200 or "does not name this server" in detail(answer)
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


def test_with_a_token_only_its_bearers_are_served(serve: Any, photo: Photo) -> None:
    token = "correct-horse-battery"
    served = serve(token=token)
    for headers in (
        {},
        {"Authorization": "Bearer wrong-horse-battery"},
        {"Authorization": f"Basic {token}"},
        {"Authorization": "Bearer ü".encode().decode("latin-1")},
    ):
        answer = post(served, photo(), headers=headers)
        assert answer.status_code == 401
        assert answer.headers["WWW-Authenticate"] == "Bearer"
        assert token not in answer.text
        assert requests.get(f"{served.url}/models", headers=headers, timeout=9).status_code == 401
    right = {"Authorization": f"Bearer {token}"}
    assert post(served, photo(), headers=right).status_code == 200
    assert requests.get(f"{served.url}/models", headers=right, timeout=9).status_code == 200
    # The page is open: it asks for the token.
    assert requests.get(served.url, timeout=TIMEOUT_S).status_code == 200
    schema = requests.get(f"{served.url}/openapi.json", timeout=TIMEOUT_S).json()
    assert schema["paths"]["/colorize"]["post"]["security"] == [{"HTTPBearer": []}]


def test_every_answer_keeps_other_sites_out(served: Any, photo: Photo) -> None:
    addresses = ["/", "/docs", "/static/page.js", "/models", "/nothing", "/openapi.json"]
    answers = [requests.get(served.url + path, timeout=TIMEOUT_S) for path in addresses]
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


@pytest.mark.parametrize(
    "path", ["/static/../app.py", "/static/%2e%2e/app.py", "/static//etc/passwd"]
)
def test_only_the_page_s_files_are_served(served: Any, path: str) -> None:
    with raw(served, f"GET {path} HTTP/1.1\nHost: localhost\nConnection: close\n\n") as connection:
        assert connection.recv(10_000).startswith(b"HTTP/1.1 404 ")


def test_the_description_is_openapi(served: Any) -> None:
    schema = requests.get(f"{served.url}/openapi.json", timeout=TIMEOUT_S).json()
    assert schema["openapi"].startswith("3.1")
    operation = schema["paths"]["/colorize"]["post"]
    assert set(operation["responses"]) == {
        *("200", "400", "404", "408", "413", "422", "503"),
    }
    assert set(operation["requestBody"]["content"]) == {
        "application/octet-stream",
        "multipart/form-data",
    }
    for code, response in operation["responses"].items():
        if code != "200":
            reference = response["content"]["application/json"]["schema"]["$ref"]
            assert reference == "#/components/schemas/Problem"
    problem = schema["components"]["schemas"]["Problem"]
    jsonschema.validate(json.loads(post(served, b"").text), problem)


def test_work_on_a_picture_does_not_hold_up_other_requests(
    serve: Any, photo: Photo, wait_until: Any
) -> None:
    served = serve(workers=1)
    served.cache.gate.clear()
    thread = threading.Thread(target=post, args=(served, photo()))
    thread.start()
    health = f"{served.url}/health"
    wait_until(lambda: requests.get(health, timeout=TIMEOUT_S).json()["held"] == 1)
    started = time.monotonic()
    assert requests.get(f"{served.url}/models", timeout=TIMEOUT_S).status_code == 200
    assert time.monotonic() - started < 30
    served.cache.gate.set()
    thread.join()
