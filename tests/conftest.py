"""Fixtures that every test package shares."""

from __future__ import annotations

import json
import os
import signal
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.installed import Installed, install
from tuning.utils import environment, provenance

# As the command does it, and before any test imports Ray.
environment.set_defaults()
# Nothing that a test starts may write into a user's own MLflow or Ray.
os.environ.pop("MLFLOW_TRACKING_URI", None)
os.environ.pop("RAY_ADDRESS", None)
# What runs the tests in the background may ignore these, and then so would all that they start.
signal.signal(signal.SIGHUP, signal.SIG_DFL)
signal.signal(signal.SIGINT, signal.default_int_handler)


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


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Installed:
    """Chromatune, installed from its wheel, and an empty folder."""
    return install(tmp_path, monkeypatch)


@pytest.fixture(scope="session")
def promises(request: pytest.FixtureRequest) -> Iterator[dict[str, Counter[str]]]:
    """The figures of each promise; if no test failed, CHROMATUNE_RESULTS names a file for them."""
    kept: dict[str, Counter[str]] = {}
    began = time.time()
    yield kept
    target = os.environ.get("CHROMATUNE_RESULTS")
    if target and not request.session.testsfailed:
        document = {
            "command": f"pytest -m {request.config.option.markexpr}",
            "measured": time.strftime("%Y-%m-%d", time.gmtime()),
            "minutes": round((time.time() - began) / 60),
            "hardware": provenance.hardware(),
            "versions": provenance.versions(),
            "promises": [{"promise": name, "figures": kept[name]} for name in kept],
        }
        Path(target).write_text(json.dumps(document, indent=1) + "\n")


@pytest.fixture
def figures(request: pytest.FixtureRequest, promises: dict[str, Counter[str]]) -> Counter[str]:
    """What a test did and checked, summed over its parameters; its docstring is the promise."""
    return promises.setdefault(" ".join(request.function.__doc__.split()), Counter())
