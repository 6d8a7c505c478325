"""docs/reliability.md says what the results files hold, and names tests that there are."""

from __future__ import annotations

import ast
import re

from docs import update_reliability
from tests.security.promises import PROMISES
from tuning.config.schema import configs_folder

ROOT = configs_folder().parent


def test_the_page_is_that_of_the_results_files() -> None:
    assert update_reliability.PAGE.read_text() == update_reliability.updated_page()


def test_nothing_was_lost() -> None:
    documents = update_reliability.measured()
    assert documents
    for document in documents.values():
        promises = document if isinstance(document, list) else document["promises"]
        assert promises
        for one in promises:
            lost = one["figures"].get("losses", 0) + one["figures"].get("broken", 0)
            assert lost == 0, one["promise"]


def test_what_would_mean_harm_was_tried_as_a_whole() -> None:
    """No file of a run that some tests were left out of, or did not get to."""
    tried = {one["test"]: one["promise"] for one in update_reliability.measured()["security"]}
    assert tried == {f"tests/security/{name}": promise for name, promise in PROMISES.items()}


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


def test_every_run_was_measured_as_a_whole() -> None:
    measured = update_reliability.measured()
    assert measured.keys() == set(update_reliability.SECTIONS)
    for section, folder, fixture in (
        ("cluster", "tests/cluster", "kept"),
        ("soak", "tests/integration", "figures"),
    ):
        shown = {one["test"] for one in measured[section]["promises"]}
        assert shown == {
            f"{path.relative_to(ROOT)}::{node.name}"
            for path in (ROOT / folder).glob("test_*.py")
            for node in ast.walk(ast.parse(path.read_text()))
            if isinstance(node, ast.FunctionDef)
            and node.name.startswith("test_")
            and fixture in [argument.arg for argument in node.args.args]
        }, section
