"""`chromatune ui --study`: the study of a search in optuna-dashboard, in a real browser."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

from tests.browser import NEEDS_BROWSER, browser
from tests.commands import refusal
from tests.processes import kill
from tests.tuning.tracking.reading import free_port
from tuning.search.dashboard import read_only

PATIENCE_S = 120
MakeScript = Callable[..., Any]


def _needs_browser(test: Any) -> Any:
    for mark in NEEDS_BROWSER:
        test = mark(test)
    return test


@pytest.fixture(params=["journal", "database"])
def search(request: pytest.FixtureRequest, script: MakeScript) -> Any:
    """A search with three finished trials, as its command would leave it."""
    search = script(folder="search-1", in_database=request.param == "database")
    for value in (30.0, 34.0, 33.0):
        search.end([value - 1, value])
    config = search.plan.config.model_dump(mode="json")
    config["search"]["study_storage"] = search.study_storage
    names = {"launch_id": "search-1", "kind": "search", "task": "colorizer", "dataset": "faces"}
    texts = {"dataset_digest": "0", "experiment": "faces", "tracking_uri": ""}
    rest = {"format": 1, "created": 1, "baseline": {}, "parent_model": None, "trainings": []}
    document = {**names, **texts, **rest, "config": config}
    (search.folder / "launch.json").write_text(json.dumps(document))
    return search


@pytest.fixture
def served(search: Any) -> Iterator[subprocess.Popen[str]]:
    port = str(free_port())
    words = ["ui", "--study", str(search.folder), "--port", port]
    process = subprocess.Popen(
        [sys.executable, "-m", "tuning", *words], stdout=subprocess.PIPE, text=True
    )
    yield process
    kill(process)


@_needs_browser
def test_the_study_is_shown_and_stays_as_it_is(
    search: Any, served: subprocess.Popen[str], tmp_path: Path
) -> None:
    assert served.stdout is not None
    line = served.stdout.readline()
    page = line.removeprefix("optuna-dashboard: ").removesuffix(" (Ctrl-C stops it)\n")
    base, _, number = page.partition("/dashboard/studies/")
    assert base.startswith("http://127.0.0.1:"), line
    with browser(tmp_path / "profile") as driver:
        driver.set_window_size(1280, 900)
        driver.get(page)

        def text() -> str:
            return driver.find_element(By.TAG_NAME, "body").text

        WebDriverWait(driver, PATIENCE_S).until(lambda _: "search-1" in text())
        WebDriverWait(driver, PATIENCE_S).until(lambda _: "Best Trial" in text())
        WebDriverWait(driver, PATIENCE_S).until(
            lambda _: driver.find_elements(By.CSS_SELECTOR, ".js-plotly-plot .main-svg")
        )
        driver.save_screenshot(str(tmp_path / "dashboard.png"))
        assert "34" in text()
        assert driver.get_log("browser") == []

    found = requests.get(f"{base}/api/studies/{number}", timeout=PATIENCE_S).json()
    assert [trial["values"] for trial in found["trials"]] == [[30.0], [34.0], [33.0]]
    deleted = requests.delete(f"{base}/api/studies/{number}", timeout=PATIENCE_S)
    elsewhere = requests.get(page, headers={"Host": "evil.example"}, timeout=PATIENCE_S)
    assert (deleted.status_code, elsewhere.status_code) == (403, 403)
    search.open()
    assert len(search.study.trials) == 3
    served.send_signal(signal.SIGINT)
    assert served.wait(PATIENCE_S) == 0


@pytest.mark.parametrize(
    ("host", "method", "is_let_in"),
    [
        ("localhost:5000", "GET", True),
        ("localhost", "HEAD", True),
        ("[::1]:5000", "GET", True),
        ("[::1]", "GET", True),
        ("localhost:5000", "POST", False),
        ("localhost.evil.example:5000", "GET", False),
        ("", "GET", False),
    ],
)
def test_only_reading_requests_to_known_names_pass(host: str, method: str, is_let_in: bool) -> None:
    started: list[str] = []

    def app(_: Any, start_response: Any) -> list[bytes]:
        start_response("200 OK", [])
        return [b"the study"]

    guarded = read_only(app, ["localhost", "::1"])
    environ = {"HTTP_HOST": host, "REQUEST_METHOD": method}
    body = b"".join(guarded(environ, lambda status, _: started.append(status)))
    assert (started[0][:3], body == b"the study") == (("200" if is_let_in else "403"), is_let_in)


def test_what_has_no_study_is_refused(search: Any) -> None:
    words = ("ui", "--study", str(search.folder))
    assert "has no login" in refusal(*words, "--host", "0.0.0.0")
    assert "do not go with --study" in refusal(*words, "--open", "charts")
    study = Path((search.study_storage or f"///{search.folder}/study.journal").partition("///")[2])
    study.unlink()
    assert "is missing" in refusal(*words)
    assert not study.exists() or search.study_storage
    document = search.folder / "launch.json"
    document.write_text(document.read_text().replace('"kind": "search"', '"kind": "grid"'))
    assert "search-1 is no search: it has no study" in refusal(*words)
