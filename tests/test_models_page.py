"""docs/models.md and the champions' YAML files say what the results files hold."""

from __future__ import annotations

import json

from docs import update_models
from tuning.config.schema import configs_folder

ROOT = configs_folder().parent


def test_the_page_is_that_of_the_results_files() -> None:
    assert update_models.PAGE.read_text() == update_models.updated_page()


def test_the_headers_of_the_champions_are_those_of_the_results_file() -> None:
    headers = update_models.updated_configs()
    assert {path.name for path in headers} == {
        path.name for path in configs_folder().glob("champion_*.yaml")
    }
    for path, text in headers.items():
        assert path.read_text() == text


def test_every_champion_beats_the_report_on_the_page() -> None:
    """Rounded by another hand: what the page shows of each champion is what was measured."""
    page = update_models.PAGE.read_text()
    for champion in json.loads(update_models.CHAMPIONS.read_text())["champions"]:
        assert champion["runs"], champion["config"]
        for run in champion["runs"]:
            metrics = run["test_metrics"]
            for channel in "ab":
                if champion["task"] == "colorizer":
                    assert f"{metrics[f'test_psnr_{channel}']:.2f}" in page
                if champion["published"] and champion["split"] == "random":
                    name = f"test_mse_{channel}"
                    assert metrics[name] < champion["published"][name]
