"""The page in a real browser."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import requests
from selenium import webdriver
from selenium.webdriver import ActionChains, Keys
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import Select, WebDriverWait

from tests.browser import NEEDS_BROWSER, browser
from tests.tuning.serve.builders import PATIENCE_S, TOKEN, photo, pixels

pytestmark = NEEDS_BROWSER


class Page:
    """What a person does on the page, and sees there."""

    def __init__(self, driver: webdriver.Chrome, url: str, downloads: Path) -> None:
        self.driver = driver
        self.url = url
        self.downloads = downloads

    def open(self, width: int = 1280, height: int = 900) -> None:
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
        self.driver.get(self.url)
        self.wait(lambda: self.get("modes").is_displayed() or self.get("advice").is_displayed())

    def get(self, name: str) -> Any:
        return self.driver.find_element(By.ID, name)

    def run(self, script: str) -> Any:
        return self.driver.execute_script(script)

    def wait(self, condition: Callable[[], Any]) -> None:
        WebDriverWait(self.driver, PATIENCE_S, poll_frequency=0.05).until(lambda _: condition())

    def upload(self, path: Path) -> None:
        """Give a file and wait until it is colorized or refused."""
        self.get("file").send_keys(str(path))
        self.wait(lambda: self.shows(path.name) or self.get("error").is_displayed())

    def shows(self, name: str) -> bool:
        drawn = "return ['before', 'after'].every((id) => document.getElementById(id).naturalWidth)"
        done = self.get("status").text == f"{name} is colorized."
        return bool(done and self.get("result").is_displayed() and self.run(drawn))

    def split(self) -> float:
        """How much of the picture is shown as it was, in percent, as the eye sees it."""
        return float(
            self.run(
                "const line = document.querySelector('.compare .line').getBoundingClientRect();"
                "const all = document.getElementById('compare').getBoundingClientRect();"
                "return 100 * (line.left + line.width / 2 - all.left) / all.width"
            )
        )


@pytest.fixture(scope="module")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[webdriver.Chrome]:
    with browser(tmp_path_factory.mktemp("profile")) as driver:
        yield driver


@pytest.fixture
def page(driver: webdriver.Chrome, served: Any, tmp_path: Path) -> Iterator[Page]:
    """The page of a fresh server; afterwards nothing has been complained of in the console."""
    behaviour = {"behavior": "allow", "downloadPath": str(tmp_path / "downloads")}
    driver.execute_cdp_cmd("Browser.setDownloadBehavior", behaviour)
    driver.get_log("browser")
    page = Page(driver, served.url, tmp_path / "downloads")
    page.open()
    yield page
    # A refusal is reported there too, with its status.
    said = [entry["message"] for entry in driver.get_log("browser")]
    assert [line for line in said if "status of 4" not in line] == []
    addresses = page.run(
        "return performance.getEntriesByType('resource').map((entry) => entry.name)"
    )
    assert all(address.startswith((served.url, "blob:")) for address in addresses), addresses


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    """Pictures in colour, in gray, in a format that browsers cannot show, and none at all."""
    contents = {
        "colour.jpg": photo(320, 200, "JPEG"),
        "gray.png": photo(200, 300, gray=True),
        "scan.tif": photo(120, 80, "TIFF"),
        "broken.png": photo()[:100],
    }
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
    return {name: tmp_path / name for name in contents}


def test_a_picture_is_colorized_and_downloaded(page: Page, files: dict[str, Path]) -> None:
    page.upload(files["gray.png"])
    assert page.get("mean").text == "a* 4.60, b* 9.70"
    assert page.get("mean-by").text == "from 0 to 255: 132.6, 137.7, by faces-regression version 1"
    assert page.get("painted").text == "a* 12.25, b* 14.80"
    assert page.get("model").text == "faces-colorizer version 2"
    assert page.get("scores").text == "PSNR 32.00 dB, SSIM 0.900"
    assert not page.get("original-choice").is_displayed()

    page.get("download").click()
    target = page.downloads / "gray-colorized.png"
    page.wait(target.is_file)
    asked = requests.post(
        f"{page.url}/colorize?mode=faces", data=files["gray.png"].read_bytes(), timeout=PATIENCE_S
    )
    np.testing.assert_array_equal(pixels(target.read_bytes()), pixels(asked.content))


def test_the_slider_compares_with_gray_or_with_the_original(
    page: Page, files: dict[str, Path]
) -> None:
    page.upload(files["colour.jpg"])
    slider = page.get("slider")
    assert page.split() == pytest.approx(50, abs=0.5)
    for key, expected in ((Keys.END, 100), (Keys.HOME, 0), (Keys.ARROW_RIGHT, 1)):
        slider.send_keys(key)
        assert page.split() == pytest.approx(expected, abs=0.5)
        assert slider.get_attribute("aria-valuetext") == f"{expected} % before"
    width = slider.size["width"]
    actions = ActionChains(page.driver).move_to_element_with_offset(slider, -width // 4, 0)
    actions.click_and_hold().move_by_offset(width // 2, 0).release().perform()
    assert page.split() == pytest.approx(75, abs=3)
    # What lies left of the line is the picture before, in gray.
    before = page.run("return getComputedStyle(document.getElementById('before')).clipPath")
    assert before.startswith("inset(0px ")
    shown = "return getComputedStyle(document.getElementById('before')).filter"
    assert page.run(shown) != "none"
    page.get("original").click()
    assert page.run(shown) == "none"


def test_a_format_that_the_browser_cannot_show_or_nobody_can_read(
    page: Page, files: dict[str, Path]
) -> None:
    page.upload(files["scan.tif"])
    page.wait(lambda: page.shows("scan.tif"))
    assert not page.get("original-choice").is_displayed()
    assert page.get("before").get_attribute("src") == page.get("after").get_attribute("src")
    page.upload(files["broken.png"])
    error = page.get("error")
    page.wait(error.is_displayed)
    assert error.text.startswith("broken.png: not a readable image")
    assert error.get_attribute("role") == "alert"
    assert not page.get("result").is_displayed()
    page.upload(files["gray.png"])
    page.wait(lambda: page.shows("gray.png"))
    assert not error.is_displayed()


def test_another_mode_or_version_colorizes_the_picture_anew(
    page: Page, files: dict[str, Path]
) -> None:
    page.upload(files["gray.png"])
    model = page.get("model")
    page.driver.find_element(By.CSS_SELECTOR, "label:has(input[value=ncd])").click()
    page.wait(lambda: model.text == "ncd-colorizer version 1")
    page.driver.find_element(By.TAG_NAME, "summary").click()
    versions = Select(page.get("version"))
    assert [option.text for option in versions.options][1:] == [
        "faces-colorizer version 2 (champion), test PSNR 32.00 dB",
        "faces-colorizer version 1, test PSNR 31.00 dB",
        "ncd-colorizer version 1 (champion), test PSNR 31.00 dB",
    ]
    versions.select_by_value("models:/faces-colorizer/1")
    page.wait(lambda: model.text == "faces-colorizer version 1")


def test_champions_appear_and_disappear_without_a_reload(page: Page, served: Any) -> None:
    served.cache.cards = served.cache.cards[1:]
    page.run("window.dispatchEvent(new Event('focus'))")
    page.wait(lambda: "NCD" in page.get("modes").text and "Faces" not in page.get("modes").text)
    served.cache.cards = []
    page.run("window.dispatchEvent(new Event('focus'))")
    page.wait(lambda: not page.get("modes").is_displayed())
    assert "No champion yet: chromatune reproduce trains" in page.get("advice").text


def test_it_fits_a_phone_and_the_keyboard_reaches_everything(
    page: Page, files: dict[str, Path]
) -> None:
    page.open(width=400, height=800)
    page.upload(files["colour.jpg"])
    assert page.run("return document.documentElement.scrollWidth") == 400
    touched = [page.get(name) for name in ("drop", "download", "slider")]
    touched += page.driver.find_elements(By.CSS_SELECTOR, "#modes label")
    assert all(element.rect["height"] >= 44 for element in touched)
    page.run("document.activeElement.blur(); scrollTo(0, 0)")
    reached = []
    for _ in range(12):
        ActionChains(page.driver).send_keys(Keys.TAB).perform()
        active = page.driver.switch_to.active_element
        reached.append(active.get_attribute("id") or active.get_attribute("name"))
    order = [name for name in reached if name in ("mode", "file", "slider", "download", "original")]
    assert order[:5] == ["mode", "file", "slider", "download", "original"]


def test_it_asks_for_the_token_of_the_server(
    driver: webdriver.Chrome, serve: Any, tmp_path: Path
) -> None:
    page = Page(driver, serve(token=TOKEN).url, tmp_path)
    driver.get(page.url)
    page.wait(page.get("token-form").is_displayed)
    for token, asked in (("wrong", "token-form"), (TOKEN, "modes")):
        page.get("token").clear()
        page.get("token").send_keys(token)
        page.get("token").submit()
        page.wait(page.get(asked).is_displayed)
    assert not page.get("token-form").is_displayed()


def test_the_api_is_described_on_a_page_of_its_own(page: Page) -> None:
    page.driver.get(f"{page.url}/docs")
    page.wait(lambda: "POST /colorize" in page.driver.page_source)
    text = page.driver.find_element(By.TAG_NAME, "main").text
    assert "curl -F file=@photo.jpg" in text
    assert "Chromatune-Mean-A" in text
    assert "Not a readable image, or wrong parameters." in text
