"""The page in a real browser, wide and narrow: nothing sticks out, is broken or complains.

Chromium is driven through chromedriver's own protocol, for which nothing need be installed here.
"""

from __future__ import annotations

import contextlib
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from tuning.report import Report, write_report

_PATIENCE_S = 120


class Browser:
    """One window, whose page is `width` CSS pixels wide."""

    def __init__(self, session: str) -> None:
        self._session = session

    def open(self, page: Path) -> None:
        self._post("url", {"url": page.as_uri()})

    def run(self, script: str) -> Any:
        """Run the body of a function in the page and return its value."""
        return self._post("execute/sync", {"script": script, "args": []})

    def complaints(self) -> list[str]:
        """What the page has written to the console, errors of loading included."""
        return [entry["message"] for entry in self._post("se/log", {"type": "browser"})]

    def _post(self, command: str, content: dict[str, Any]) -> Any:
        return _answer(requests.post(f"{self._session}/{command}", json=content, timeout=120))


@contextlib.contextmanager
def browser(width: int, height: int = 900) -> Iterator[Browser]:
    """Start a browser for a screen of that size; skip the test where there is none."""
    driver = shutil.which("chromedriver")
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if driver is None or chromium is None:
        pytest.skip("needs a browser: apt-get install chromium chromium-driver")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    address = f"http://127.0.0.1:{port}"
    process = subprocess.Popen(
        [driver, f"--port={port}"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        _wait_for(address)
        session = _answer(
            requests.post(
                f"{address}/session", json=_wanted(chromium, width, height), timeout=_PATIENCE_S
            )
        )
        one = f"{address}/session/{session['sessionId']}"
        try:
            yield Browser(one)
        finally:
            requests.delete(one, timeout=_PATIENCE_S)
    finally:
        process.terminate()
        process.wait()


def _wanted(chromium: str, width: int, height: int) -> dict[str, Any]:
    # The narrowest window is wider than a telephone, so the screen is emulated.
    screen = {"width": width, "height": height, "pixelRatio": 1, "mobile": False}
    options = {
        "binary": chromium,
        "args": ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"],
        "mobileEmulation": {"deviceMetrics": screen},
    }
    capabilities = {
        "browserName": "chrome",
        "goog:chromeOptions": options,
        "goog:loggingPrefs": {"browser": "ALL"},
    }
    return {"capabilities": {"alwaysMatch": capabilities}}


def _wait_for(address: str) -> None:
    deadline = time.monotonic() + _PATIENCE_S
    while True:
        with contextlib.suppress(requests.ConnectionError):
            if _answer(requests.get(f"{address}/status", timeout=5))["ready"]:
                return
        assert time.monotonic() < deadline, "chromedriver does not start"
        time.sleep(0.1)


def _answer(response: requests.Response) -> Any:
    value = response.json()["value"]
    assert response.ok, value
    return value


_STICKS_OUT = """
return [...document.querySelectorAll('body *')].filter(element => {
  const box = element.getBoundingClientRect();
  return box.width > 0 && (box.right > window.innerWidth + 0.5 || box.left < -0.5);
}).map(element => element.outerHTML.slice(0, 120));
"""
_IS_CUT = """
return [...document.querySelectorAll('.scroll')]
  .filter(element => element.scrollWidth > element.clientWidth + 1)
  .map(element => element.textContent.trim().slice(0, 80));
"""
_IS_BROKEN = """
return [...document.images].filter(image => !image.complete || image.naturalWidth === 0)
  .map(image => image.alt);
"""
_HAS_FONT = "return document.fonts.ready.then(fonts => [...fonts].map(font => font.status));"


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory, make_whole_report: Callable[[], Report]) -> Path:
    (html,) = write_report(make_whole_report(), tmp_path_factory.mktemp("report"), ("html",))
    return html


@pytest.mark.slow
@pytest.mark.parametrize("width", [1280, 400])
def test_the_page_fits_and_is_whole(page: Path, width: int) -> None:
    with browser(width) as window:
        window.open(page)
        assert window.run("return window.innerWidth") == width
        assert window.run("return document.documentElement.scrollWidth") <= width
        assert window.run(_STICKS_OUT) == []
        assert window.run(_IS_CUT) == []
        assert window.run("return document.images.length") > 50
        assert window.run(_IS_BROKEN) == []
        assert window.run(_HAS_FONT) == ["loaded", "loaded"]
        assert window.complaints() == []


@pytest.mark.slow
def test_the_test_itself_would_notice(page: Path, tmp_path: Path) -> None:
    """A page with a broken picture, an overflow, a script and a request to the network."""
    broken = page.read_text().replace(
        "<main>",
        '<main><div style="width: 3000px">wide</div><img alt="x" src="data:image/png;base64,AAAA">'
        '<img alt="net" src="http://127.0.0.1:9/x.png"><script>throw 1</script>',
    )
    (tmp_path / "broken.html").write_text(broken)
    with browser(400) as window:
        window.open(tmp_path / "broken.html")
        assert window.run(_STICKS_OUT) != []
        assert {"x", "net"} <= set(window.run(_IS_BROKEN))
        assert len(window.complaints()) >= 2
