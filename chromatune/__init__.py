"""Tune image-colorization models from Python, with the names and keywords of the commands.

`data_prep`, `models` and `tuning` are common names. Once this package is imported, they are the
folders beside it, whatever lies in the current folder or on PYTHONPATH.
"""

from __future__ import annotations

import atexit
import gc
import importlib
import importlib.machinery
import os
import sys
from collections.abc import Sequence
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from chromatune._commands import finals as finals
    from chromatune._commands import finetune as finetune
    from chromatune._commands import grid as grid
    from chromatune._commands import prepare as prepare
    from chromatune._commands import resume as resume
    from chromatune._commands import search as search
    from chromatune._commands import train as train
    from chromatune._launch import Cell as Cell
    from chromatune._launch import Launch as Launch
    from chromatune._launch import launches as launches
    from chromatune._launch import load_launch as load_launch
    from chromatune._model import Model as Model
    from chromatune._model import colorize as colorize
    from chromatune._model import load_model as load_model
    from chromatune._model import promote as promote
    from chromatune._model import report as report
    from models import register_model as register_model
    from tuning.errors import ChromatuneError as ChromatuneError
    from tuning.training.register import register_loss as register_loss
    from tuning.training.register import register_metric as register_metric

__all__ = [
    "PACKAGES",
    "ROOT",
    "Cell",
    "ChromatuneError",
    "Launch",
    "Model",
    "colorize",
    "finals",
    "finetune",
    "grid",
    "launches",
    "load_launch",
    "load_model",
    "main",
    "prepare",
    "promote",
    "register_loss",
    "register_metric",
    "register_model",
    "report",
    "resume",
    "search",
    "train",
]

PACKAGES = ("data_prep", "models", "tuning")
# os.path, since pathlib takes milliseconds to import.
ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))  # noqa: PTH100, PTH120

# Imported when they are asked for: the command must answer at once, and torch takes seconds.
_MODULES = {
    "chromatune._commands": (
        *("finals", "finetune", "grid", "prepare", "resume", "search", "train"),
    ),
    "chromatune._launch": ("Cell", "Launch", "launches", "load_launch"),
    "chromatune._model": ("Model", "colorize", "load_model", "promote", "report"),
    "models": ("register_model",),
    "tuning.errors": ("ChromatuneError",),
    "tuning.training.register": ("register_loss", "register_metric"),
}
_PUBLIC = {name: module for module, names in _MODULES.items() for name in names}


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
    if problem := _shadowed():
        raise ImportError(problem)
    found = globals()[name] = getattr(importlib.import_module(_PUBLIC[name]), name)
    return found


def __dir__() -> list[str]:
    return [*__all__, "__doc__"]


def main() -> None:
    """Run the command line of `tuning.cli`; exit status 2 if its packages cannot be imported."""
    if problem := _shadowed():
        print(f"error: {problem}", file=sys.stderr)
        sys.exit(2)
    # Imports make half a million objects that stay: searching them for garbage takes a fifth of the
    # imports' time, and at the exit a third of it once more.
    gc.set_threshold(50_000)
    atexit.register(gc.freeze)
    try:
        from tuning.utils import environment

        environment.set_defaults()  # before anything imports Ray or MLflow, or asks for a terminal
        from tuning.cli import main as run
    except ImportError as error:
        print(f"error: {_not_importable(error)}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:  # imports take a moment
        print("interrupted", file=sys.stderr)
        sys.exit(130)
    run()


def _not_importable(error: ImportError) -> str:
    """Name the library that fails, and the file, which a user's own of its name may be."""
    module = sys.modules.get(str(error.name).partition(".")[0])
    file = error.path or getattr(module, "__file__", None)
    remedy = f"remove or rename {file}, or install chromatune again" if file else "install it again"
    return f"a library of chromatune cannot be imported ({error}): {remedy}"


def _shadowed() -> str:
    """Say which packages are not those of this program because another has their name."""
    for name in PACKAGES:
        file = _origin(sys.modules.get(name))
        if file and os.path.realpath(file) != os.path.realpath(f"{ROOT}/{name}/__init__.py"):
            return (
                f"Python has imported {file} as '{name}', where Chromatune has a package of "
                f"that name: rename this file, or do not import it when Python starts "
                f"(sitecustomize.py, .pth files)"
            )
    return ""


def _origin(module: ModuleType | None) -> str | None:
    """The file of a module, or the folder of a package without one."""
    return getattr(module, "__file__", None) or next(iter(getattr(module, "__path__", ())), None)
