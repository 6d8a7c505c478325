"""docs/reliability.md says what the results files hold, and names tests that there are."""

from __future__ import annotations

import ast
import json
import re

from docs import update_reliability
from tuning.config import configs_folder

ROOT = configs_folder().parent


def test_the_page_is_that_of_the_results_files() -> None:
    assert update_reliability.PAGE.read_text() == update_reliability.updated_page()


def test_nothing_was_lost() -> None:
    files = [update_reliability.RESULTS / f"{name}.json" for name in update_reliability.SECTIONS]
    documents = [json.loads(file.read_text()) for file in files if file.is_file()]
    assert documents
    for document in documents:
        promises = document if isinstance(document, list) else document["promises"]
        assert promises
        for one in promises:
            assert one["figures"].get("losses", 0) == 0, one["promise"]


def test_every_promise_names_a_test_that_there_is() -> None:
    named = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", update_reliability.PAGE.read_text())
    assert len(named) >= 10
    for file, test in named:
        tree = ast.parse((ROOT / file).read_text())
        functions = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
        assert test in functions, f"{file}::{test}"


def test_every_file_that_the_page_names_is_there() -> None:
    names = re.findall(r"`([\w./]+\.(?:yaml|json|md))`", update_reliability.PAGE.read_text())
    assert names
    assert [name for name in names if not (ROOT / name).is_file()] == []
