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

# The layers of tuning/, lowest first: a package imports only from the rows above its own.
LAYERS = (
    {"errors"},
    {"utils"},
    {"training"},
    {"config"},
    {"display"},
    {"launch", "inference"},
    {"tracking", "search"},
    {"backend", "report"},
    {"workflows"},
    {"serve"},
    {"cli"},
    {"__main__"},
)
FRAMEWORKS = {"ray": "backend", "mlflow": "tracking"}
# What works without Ray, MLflow and Optuna.
PLAIN = ("data_prep", "models", "utils", "errors", "config", "training", "display", "inference")

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


def package_of(module: str) -> str:
    """`tuning.launch.write_cell` lies in `launch`, `models.heads` in `models`."""
    first, *rest = module.split(".")
    return rest[0] if first == "tuning" and rest else first


ARROWS = {
    (package_of(module), package_of(name))
    for module, path in FILES.items()
    for name in imports(path)
    if name.partition(".")[0] in PACKAGES and name != "tuning"
    if package_of(name) != package_of(module)
}
NAMED_IN = {
    framework: {package_of(name) for name, path in FILES.items() if framework in roots(path)}
    for framework in ("ray", "mlflow", "optuna")
}


def test_every_package_of_tuning_has_a_layer() -> None:
    packages = {package_of(name) for name in FILES if name.startswith("tuning.")}
    assert set.union(*LAYERS) == packages


def test_arrows_between_packages_point_down() -> None:
    layer = {package: number for number, row in enumerate(LAYERS) for package in row}
    lowest = {"data_prep", "models"}
    up = {
        (importer, imported)
        for importer, imported in ARROWS
        if importer in lowest or (imported not in lowest and layer[imported] >= layer[importer])
    }
    assert up == set()


def test_only_three_modules_lie_directly_in_tuning() -> None:
    assert {path.name for path in (ROOT / "tuning").glob("*.py")} == {
        "__init__.py",
        "__main__.py",
        "errors.py",
    }


@pytest.mark.parametrize(("framework", "package"), FRAMEWORKS.items())
def test_a_framework_is_imported_by_its_package_alone(framework: str, package: str) -> None:
    assert NAMED_IN[framework] == {package}


@pytest.mark.parametrize("framework", NAMED_IN)
def test_the_lower_packages_import_no_framework(framework: str) -> None:
    assert not NAMED_IN[framework] & set(PLAIN)


def test_what_an_extra_brings_is_imported_only_where_it_is_asked_for() -> None:
    serve = {name for name, path in FILES.items() if roots(path) & SERVE_PACKAGES}
    assert serve
    assert {package_of(name) for name in serve} == {"serve"}
    export = {name for name, path in FILES.items() if roots(path) & EXPORT_PACKAGES}
    assert export == {"tuning.inference.export"}


def test_the_training_works_where_neither_framework_is_installed() -> None:
    program = """
import sys
# As if not installed; torch's compiler alone takes 2 s to import.
sys.modules.update(dict.fromkeys(("ray", "mlflow", "optuna", "torch._dynamo")))
import numpy as np
from tuning.launch.write_cell import write_cell
from tuning.training.data import Split, TaskData
from tuning.training.config import FitConfig
from tuning.training.loop import fit
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
    heavy = {"ray", "mlflow", "optuna", "torch", "numpy", "pandas", "matplotlib", "pydantic"}
    heavy |= {*SERVE_PACKAGES, *EXPORT_PACKAGES}
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
