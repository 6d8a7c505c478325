"""docs/reliability.md says what the results files hold, and names tests that there are."""

from __future__ import annotations

import ast
import importlib.util
import json
import re
from types import ModuleType

import pytest

from tuning.config import configs_folder

ROOT = configs_folder().parent


@pytest.fixture(scope="module")
def generator() -> ModuleType:
    file = ROOT / "docs" / "update_reliability.py"
    spec = importlib.util.spec_from_file_location("reliability_generator", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_page_is_that_of_the_results_files(generator: ModuleType) -> None:
    assert generator.PAGE.read_text() == generator.updated_page()


def test_nothing_was_lost(generator: ModuleType) -> None:
    files = [generator.RESULTS / f"{name}.json" for name in generator.SECTIONS]
    documents = [json.loads(file.read_text()) for file in files if file.is_file()]
    assert documents
    for document in documents:
        promises = document if isinstance(document, list) else document["promises"]
        assert promises
        for one in promises:
            assert one["figures"].get("losses", 0) == 0, one["promise"]


def test_every_promise_names_a_test_that_there_is(generator: ModuleType) -> None:
    named = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", generator.PAGE.read_text())
    assert len(named) >= 10
    for file, test in named:
        tree = ast.parse((ROOT / file).read_text())
        functions = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
        assert test in functions, f"{file}::{test}"


def test_every_file_that_the_page_names_is_there(generator: ModuleType) -> None:
    names = re.findall(r"`([\w./]+\.(?:yaml|json|md))`", generator.PAGE.read_text())
    assert names
    assert [name for name in names if not (ROOT / name).is_file()] == []
