"""Write docs/screenshots: what `chromatune ui` shows of a store with drawn pictures.

    python -m docs.make_screenshots                       # trains a small store first, in minutes
    python -m docs.make_screenshots --tracking-uri URI    # of a store that is there

Needs Chromium and its driver (`make browser`). Refuses a store with photographs of people in it.
"""

from __future__ import annotations

import argparse
import contextlib
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from mlflow import MlflowClient
from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By

from data_prep import DATASETS
from tuning.tracking.registry.versions import find_champion
from tuning.tracking.store import make_client, search_all_experiments, tracking_uri
from tuning.tracking.ui.experiment import best_runs
from tuning.tracking.ui.links import experiment_page, model_page, run_page, version_page
from tuning.tracking.ui.views import BEST, CELLS, LAUNCHES

FOLDER = Path(__file__).resolve().parent / "screenshots"
_EXPERIMENT = "synthetic-faces-colorizer-grid"
_WIDTH = 1500
_PATIENCE_S = 900
_LOOK_EVERY_S = 1.0
# Longer trainings than those of the quick preset, whose curves are worth comparing.
_COMMANDS = (
    "reproduce --preset quick",
    "grid colorizer --dataset synthetic-faces --augment 1 --heads tanh --epochs 4,12,20 "
    "--set training.batch_size=16",
    "promote colorizer --dataset synthetic-faces --augment 1",
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tracking-uri", help="Store to show [default: one made for it].")
    given = parser.parse_args().tracking_uri
    with tempfile.TemporaryDirectory() as scratch:
        uri = tracking_uri(given) if given else _trained(Path(scratch))
        client = make_client(uri)
        _refuse_photographs(client)
        with _served(uri) as address, browser() as driver:
            FOLDER.mkdir(exist_ok=True)
            for name, (path, height, awaited, unfolds) in _pages(client, uri).items():
                _open(driver, f"{address}/{path}", height, awaited)
                if unfolds:
                    driver.find_element(By.XPATH, "//*[text()='Show more']").click()
                    time.sleep(_LOOK_EVERY_S)
                driver.save_screenshot(str(FOLDER / f"{name}.png"))
                print(FOLDER / f"{name}.png")


def _pages(client: MlflowClient, uri: str) -> dict[str, tuple[str, int, str, bool]]:
    """Name of each picture -> page, height of the window, a text that it must show, unfold?"""
    experiment_id = client.get_experiment_by_name(_EXPERIMENT).experiment_id
    best = best_runs(client, experiment_id, "colorizer")[0]
    launch = best.data.tags["mlflow.parentRunId"]
    champion = find_champion(uri, "synthetic-faces", "colorizer")
    assert champion is not None
    run_list, charts = "matching runs", "Parallel Coordinates"
    return {
        "runs": (experiment_page(experiment_id, CELLS), 900, run_list, False),
        "launches": (experiment_page(experiment_id, LAUNCHES), 750, run_list, False),
        "charts": (experiment_page(experiment_id, CELLS, charts=True), 1000, charts, False),
        "best": (experiment_page(experiment_id, BEST, charts=True), 2400, "Settings", False),
        "launch": (run_page(experiment_id, launch), 1200, "Child runs", True),
        "cell": (run_page(experiment_id, best.info.run_id), 1200, "Parent run", True),
        "model": (model_page(champion.name), 700, "Versions", False),
        "version": (version_page(champion.name, champion.version), 1300, "Source Run", False),
    }


def _trained(folder: Path) -> str:
    for words in _COMMANDS:
        subprocess.run([sys.executable, "-m", "tuning", *words.split()], cwd=folder, check=True)
    return tracking_uri(f"sqlite:///{folder}/mlruns/mlflow.db")


def _refuse_photographs(client: MlflowClient) -> None:
    names = {one.tags.get("chromatune.dataset", "") for one in search_all_experiments(client)}
    drawn = {name for name, info in DATASETS.items() if info.synthetic}
    if real := sorted(names - drawn - {""}):
        sys.exit(f"not shown to the public: the store holds pictures of {', '.join(real)}")


@contextlib.contextmanager
def _served(uri: str) -> Iterator[str]:
    """Run `chromatune ui` for the time of the `with`; yields its address."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "tuning", "ui", "--tracking-uri", uri, "--port", str(port)]
    server = subprocess.Popen([*command, "--open", "nothing"], stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout is not None
        for line in server.stdout:
            if line.startswith("MLflow UI: "):
                break
        yield f"http://127.0.0.1:{port}"
    finally:
        server.terminate()
        server.communicate()


@contextlib.contextmanager
def browser() -> Iterator[webdriver.Chrome]:
    """Run Chromium without a window for the time of the `with`."""
    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium") or ""
    for argument in ("--headless=new", "--no-sandbox", "--hide-scrollbars", "--disable-gpu"):
        options.add_argument(argument)
    driver = webdriver.Chrome(options=options, service=Service(shutil.which("chromedriver")))
    driver.command_executor.client_config.timeout = _PATIENCE_S
    driver.set_page_load_timeout(_PATIENCE_S)
    driver.set_script_timeout(_PATIENCE_S)
    try:
        yield driver
    finally:
        driver.quit()


def _open(driver: webdriver.Chrome, url: str, height: int, awaited: str) -> None:
    """Go to a page, and wait until it shows a text and changes no more."""
    driver.get("about:blank")  # another hash alone loads nothing
    driver.set_window_size(_WIDTH, height)
    driver.get(url)
    deadline = time.monotonic() + _PATIENCE_S
    before, unchanged = "", 0
    while time.monotonic() < deadline:
        time.sleep(_LOOK_EVERY_S)
        body = driver.find_element(By.TAG_NAME, "body")
        shown = body.get_attribute("innerHTML")
        unchanged = unchanged + 1 if shown == before and awaited in body.text else 0
        if unchanged == 3:
            return
        before = shown
    sys.exit(f"{url} does not come to rest, or does not show '{awaited}'")


if __name__ == "__main__":
    main()
