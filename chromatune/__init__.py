"""The command `chromatune`, what a user's file registers with, and where the packages are found.

`data_prep`, `models` and `tuning` are common names. Once this package is imported, they are the
folders beside it, whatever lies in the current folder or on PYTHONPATH.
"""

from __future__ import annotations

import importlib
import importlib.machinery
import os
import sys
from collections.abc import Sequence
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from models import register_model as register_model
    from tuning.training.register import register_loss as register_loss
    from tuning.training.register import register_metric as register_metric

__all__ = ["PACKAGES", "ROOT", "main", "register_loss", "register_metric", "register_model"]

PACKAGES = ("data_prep", "models", "tuning")
# os.path, since pathlib takes milliseconds to import.
ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))  # noqa: PTH100, PTH120

# Imported when they are asked for: torch takes seconds.
_PUBLIC = {
    "register_model": "models",
    "register_loss": "tuning.training.register",
    "register_metric": "tuning.training.register",
}


class _OwnPackages:
    """Finds the packages of this program before Python searches its path."""

    @staticmethod
    def find_spec(
        name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if path is not None or name not in PACKAGES:
            return None
        return importlib.machinery.PathFinder.find_spec(name, [ROOT], target)


sys.meta_path.insert(0, _OwnPackages)


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
    return getattr(importlib.import_module(_PUBLIC[name]), name)


def main() -> None:
    """Run the command line of `tuning.cli`; exit status 2 if its packages cannot be imported."""
    for name in PACKAGES:
        file = _origin(sys.modules.get(name))
        if file and os.path.realpath(file) != os.path.realpath(f"{ROOT}/{name}/__init__.py"):
            print(
                f"error: Python has imported {file} as '{name}', where Chromatune has a package of "
                f"that name: rename this file, or do not import it when Python starts "
                f"(sitecustomize.py, .pth files)",
                file=sys.stderr,
            )
            sys.exit(2)
    from tuning.cli import main as run

    run()


def _origin(module: ModuleType | None) -> str | None:
    """The file of a module, or the folder of a package without one."""
    return getattr(module, "__file__", None) or next(iter(getattr(module, "__path__", ())), None)
