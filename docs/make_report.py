"""Write docs/report: the report of a store as PDF and Markdown, and pictures of its grids.

    python -m docs.make_report --tracking-uri URI --published-curves DIR

Photographs are left out. Needs Chromium and its driver (`make browser`).
"""

from __future__ import annotations

import argparse
import base64
import tempfile
from pathlib import Path

from make_screenshots import browser
from selenium import webdriver

from tuning.report import Options, build_report, read_published_curves, write_report
from tuning.tracking.reader import read_store
from tuning.tracking.store import tracking_uri

FOLDER = Path(__file__).resolve().parent / "report"
_WIDTH = 1280
# Section -> the figure that ends the picture of it.
_PICTURES = {"regression": "heatmap-regression", "colorization": "heatmap-colorizer"}
_PLACE = """
const [section, figure] = [...arguments].map(id => document.getElementById(id));
if (!figure) return null;
const [top, bottom] = [section.getBoundingClientRect(), figure.getBoundingClientRect()];
return {x: 0, y: top.top + scrollY, width: innerWidth, height: bottom.bottom - top.top, scale: 1};
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tracking-uri", help="Store to report on [default: the usual one].")
    parser.add_argument("--published-curves", type=Path, help="Folder with the report's losses.")
    given = parser.parse_args()
    curves = read_published_curves(given.published_curves) if given.published_curves else {}
    # Cells link to no UI: it is on the machine of the store alone.
    store, archive = read_store(tracking_uri(given.tracking_uri), ui="")
    report = build_report(store, archive, Options(photographs=False, published_curves=curves))
    print(*write_report(report, FOLDER, ("pdf", "md")), sep="\n")
    with tempfile.TemporaryDirectory() as scratch, browser() as driver:
        (page,) = write_report(report, Path(scratch), ("html",))
        metrics = {"width": _WIDTH, "height": 900, "deviceScaleFactor": 1, "mobile": False}
        driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
        driver.get(page.as_uri())
        for section, figure in _PICTURES.items():
            _picture(driver, section, figure)


def _picture(driver: webdriver.Chrome, section: str, figure: str) -> None:
    place = driver.execute_script(_PLACE, section, figure)
    if place is None:
        print(f"no picture of {section}: the store holds no such grid")
        return
    whole = {"format": "png", "captureBeyondViewport": True, "clip": place}
    shot = driver.execute_cdp_cmd("Page.captureScreenshot", whole)
    path = FOLDER / f"{section}.png"
    path.write_bytes(base64.b64decode(shot["data"]))
    print(path)


if __name__ == "__main__":
    main()
