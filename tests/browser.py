"""Headless Chromium, driven through its own driver."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from selenium import webdriver
from selenium.webdriver.chrome.service import Service

_CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser"))), None)
_DRIVER = shutil.which("chromedriver")
# Where a browser is required, a test without one fails instead of being skipped.
_REQUIRED = os.environ.get("CHROMATUNE_REQUIRE_BROWSER")

NEEDS_BROWSER = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::ResourceWarning"),  # of the driver's own sockets
    pytest.mark.skipif(
        not (_REQUIRED or (_CHROMIUM and _DRIVER)),
        reason="needs Chromium and its driver: `make browser`",
    ),
]


@contextlib.contextmanager
def browser(profile: Path) -> Iterator[webdriver.Chrome]:
    """Start a browser that keeps its profile in `profile` and its console's messages."""
    options = webdriver.ChromeOptions()
    options.binary_location = str(_CHROMIUM)
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"):
        options.add_argument(argument)
    options.add_argument(f"--user-data-dir={profile}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options, Service(_DRIVER))
    try:
        yield driver
    finally:
        driver.quit()
