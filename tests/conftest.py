"""Fixtures that every test package shares."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tuning.utils import environment

# As the command does it, and before any test imports Ray.
environment.set_defaults()
# Nothing that a test starts may write into a user's own MLflow or Ray.
os.environ.pop("MLFLOW_TRACKING_URI", None)
os.environ.pop("RAY_ADDRESS", None)


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Folder with the real pictures: `gt_faces/` and `ncd/ColorfulOriginal/`."""
    named = os.environ.get("CHROMATUNE_REAL_DATA")
    if not named:
        pytest.skip("needs the real pictures: make test DATA=<folder with gt_faces/ and ncd/>")
    folder = Path(named).expanduser().resolve()
    missing = [name for name in ("gt_faces", "ncd") if not (folder / name).is_dir()]
    if missing:
        pytest.fail(f"CHROMATUNE_REAL_DATA={named} has no {' and no '.join(missing)}/")
    return folder
