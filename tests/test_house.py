"""The arrows between packages, and the size and look of their files."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("data_prep", "models", "tuning")
LONGEST_FILE = 350

# Where each framework may be named; everything else works without it.
RAY = {
    f"tuning.{name}"
    for name in ("trainable", "runner", "watcher", "stopping", "cluster", "preflight")
} | {
    f"tuning.search.{name}"
    for name in ("resources", "run", "schedulers", "searcher", "trial", "tuner", "watcher")
}
MLFLOW_PREFIXES = ("tuning.tracking", "tuning.promotion")
MLFLOW = {"tuning.serving_model"}

# What the extras `serve` and `export` bring.
SERVE_PACKAGES = {"fastapi", "starlette", "uvicorn"}
EXPORT_PACKAGES = {"onnx", "onnxscript", "onnxruntime"}

FILES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
    for package in PACKAGES
    for path in sorted((ROOT / package).rglob("*.py"))
}
# A test file is a list and may be as long as its list.
READ_WHOLE = sorted(
    path for folder in (*PACKAGES, "benchmarks") for path in (ROOT / folder).rglob("*.py")
)


def imports(path: Path) -> set[str]:
    """Every module that a file imports, at its top or inside a function."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno} imports relatively"
            assert node.module is not None
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return found


def roots(path: Path) -> set[str]:
    return {name.partition(".")[0] for name in imports(path)}


@pytest.mark.parametrize("module", [name for name in FILES if not name.startswith("tuning")])
def test_lower_packages_import_neither_each_other_nor_tuning(module: str) -> None:
    own = module.partition(".")[0]
    assert not roots(FILES[module]) & (set(PACKAGES) - {own})


def test_ray_is_imported_only_by_its_adapters() -> None:
    users = {name for name, path in FILES.items() if "ray" in roots(path)}
    assert users <= RAY
    assert users >= {"tuning.trainable", "tuning.runner"}


def test_mlflow_is_imported_only_by_its_adapters() -> None:
    users = {name for name, path in FILES.items() if "mlflow" in roots(path)}
    assert {name for name in users - MLFLOW if not name.startswith(MLFLOW_PREFIXES)} == set()
    assert "tuning.tracking" in users


def test_what_an_extra_brings_is_imported_only_where_it_is_asked_for() -> None:
    serve = {name for name, path in FILES.items() if roots(path) & SERVE_PACKAGES}
    assert serve
    assert all(name.startswith("tuning.serve.") for name in serve)
    export = {name for name, path in FILES.items() if roots(path) & EXPORT_PACKAGES}
    assert export == {"tuning.colorize_export"}


def test_the_training_works_where_neither_framework_is_installed() -> None:
    program = """
import sys
sys.modules["ray"] = sys.modules["mlflow"] = sys.modules["optuna"] = None  # as if not installed
import numpy as np
from tuning.cells import write_cell
from tuning.data import Split, TaskData
from tuning.engine import FitConfig, fit
L = np.random.default_rng(0).integers(0, 256, (4, 64, 64), dtype=np.uint8)
split = Split(L, None, None, np.full((4, 2), 0.5, np.float32))
data = TaskData("regression", "noise", "digest", 64, split, split, (0.5, 0.5))
config = FitConfig("cnn1", "relu", 1e-3, (1, 2), image_size=64)
print([(result.record["epoch"], result.milestone) for result in fit(config, data)])
"""
    answer = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert answer.returncode == 0, answer.stderr
    assert answer.stdout.strip() == "[(1, True), (2, True)]"


def test_parsing_a_command_line_loads_no_framework() -> None:
    heavy = {"ray", "mlflow", "optuna", *SERVE_PACKAGES, *EXPORT_PACKAGES}
    program = f"import sys, tuning.cli; print({heavy} & sys.modules.keys())"
    answer = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert answer.stdout.strip() == "set()"


@pytest.mark.parametrize("module", FILES)
def test_every_module_says_what_it_is(module: str) -> None:
    docstring = ast.get_docstring(ast.parse(FILES[module].read_text(encoding="utf-8")))
    assert docstring, f"{module} has no docstring"
    assert docstring.splitlines()[0].endswith((".", ":")), docstring.splitlines()[0]


def test_no_file_is_longer_than_a_reader_holds() -> None:
    lengths = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in READ_WHOLE}
    assert {str(path): n for path, n in lengths.items() if n > LONGEST_FILE} == {}
