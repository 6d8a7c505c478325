"""A grid trains, stops and resumes with nothing installed but what the training itself needs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from data_prep import PrepareSettings, prepare

# The packages named in the documentation, and what these import themselves.
ALLOWED = """
torch torchgen functorch numpy cv2 pydantic yaml safetensors
annotated_types filelock fsspec mpmath networkx packaging pydantic_core sympy
typing_extensions typing_inspection _yaml _cyutility
"""

PROGRAM = '''
import sys
from importlib.machinery import BuiltinImporter, FrozenImporter, PathFinder

allowed = {*sys.stdlib_module_names, *sys.argv[3].split(), "tuning", "models", "data_prep",
           "chromatune"}

class Installed(PathFinder):
    """Finds nothing else, as if it were not installed."""

    @classmethod
    def find_spec(cls, name, path=None, target=None):
        first = name.partition(".")[0]
        if first in allowed or first.startswith("_sysconfigdata"):
            return super().find_spec(name, path, target)
        return None

sys.meta_path[:] = [BuiltinImporter, FrozenImporter, Installed]

from tuning.config.schema import GridLaunchConfig
from tuning.workflows.grid import conclude, run_grid
from tuning.workflows.run_launch import Session
from tuning.workflows.resume import resume_launch

config = GridLaunchConfig.model_validate({
    "data": {"dataset": "synthetic-faces", "root": sys.argv[1], "count": 20, "size": 64},
    "storage_path": sys.argv[2],
    "grid": {"models": ["autoencoder"], "heads": ["relu"], "lrs": [1e-3, 1e-4], "epochs": [1, 2]},
    "resources": {"backend": "serial", "time_budget_s": 0.01},
})
outcome = run_grid("colorizer", config, Session(None))
sessions = 1
while not outcome.is_over and sessions < 10:
    outcome = resume_launch(outcome.launch, Session(None))
    sessions += 1
assert 1 < sessions < 10, sessions
assert outcome.complete, outcome.cells
print(conclude(outcome).table.to_json()["cells"][0]["outcome"])
'''


@pytest.fixture(scope="module")
def data_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("data")
    prepare(PrepareSettings(dataset="synthetic-faces", count=20, size=64), root)
    return root


def test_the_serial_backend_needs_only_the_packages_of_the_training(
    data_root: Path, tmp_path: Path
) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(data_root), str(tmp_path), ALLOWED],
        cwd=Path(__file__).parents[3],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == "finished\n"
    assert len(list(tmp_path.glob("*/*/cells/*/sheet.png"))) == 4
