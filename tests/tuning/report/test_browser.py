"""The report in a real browser, wide and narrow: nothing sticks out, is broken or complains."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from selenium import webdriver

from tests.browser import NEEDS_BROWSER, browser
from tuning.report import Report, write_report

pytestmark = NEEDS_BROWSER


@pytest.fixture(scope="module")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[webdriver.Chrome]:
    with browser(tmp_path_factory.mktemp("profile")) as driver:
        yield driver


def open_page(
    driver: webdriver.Chrome, page: Path, width: int, medium: str = "screen"
) -> Callable[[str], Any]:
    """Open a page on a screen of `width` CSS pixels; returns a function that runs a script in it.

    The narrowest window is wider than a telephone, so the screen is emulated.
    """
    driver.get_log("browser")  # what the page before has written
    metrics = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": medium})
    driver.get(page.as_uri())
    return driver.execute_script


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


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory, report: Report) -> Path:
    (html,) = write_report(report, tmp_path_factory.mktemp("report"), ("html",))
    return html


@pytest.mark.parametrize(
    ("width", "medium"),
    [(1280, "screen"), (400, "screen"), (688, "print")],  # A4 within its margins
)
def test_the_page_fits_and_is_whole(
    page: Path, driver: webdriver.Chrome, width: int, medium: str
) -> None:
    run = open_page(driver, page, width, medium)
    assert run("return window.innerWidth") == width
    assert run("return document.documentElement.scrollWidth") <= width
    assert run(_STICKS_OUT) == []
    assert run(_IS_CUT) == []
    assert run("return document.images.length") == 8
    assert run(_IS_BROKEN) == []
    assert driver.get_log("browser") == []
