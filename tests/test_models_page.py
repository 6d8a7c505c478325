"""docs/models.md and the champions' YAML files say what the results files hold."""

from __future__ import annotations

import importlib.util
import json
from types import ModuleType

import pytest

from tuning.config import configs_folder

ROOT = configs_folder().parent


@pytest.fixture(scope="module")
def generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("generator", ROOT / "docs" / "update_models.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_page_is_that_of_the_results_files(generator: ModuleType) -> None:
    assert generator.PAGE.read_text() == generator.updated_page()


def test_the_headers_of_the_champions_are_those_of_the_results_file(generator: ModuleType) -> None:
    headers = generator.updated_configs()
    assert {path.name for path in headers} == {
        path.name for path in configs_folder().glob("champion_*.yaml")
    }
    for path, text in headers.items():
        assert path.read_text() == text


def test_every_champion_beats_the_report_on_the_page(generator: ModuleType) -> None:
    """Rounded by another hand: what the page shows of each champion is what was measured."""
    page = generator.PAGE.read_text()
    for champion in json.loads(generator.CHAMPIONS.read_text())["champions"]:
        assert champion["runs"], champion["config"]
        for run in champion["runs"]:
            metrics = run["test_metrics"]
            for channel in "ab":
                if champion["task"] == "colorizer":
                    assert f"{metrics[f'test_psnr_{channel}']:.2f}" in page
                if champion["published"] and champion["split"] == "random":
                    name = f"test_mse_{channel}"
                    assert metrics[name] < champion["published"][name]
