"""Where trials run: Ray Tune, or this process."""

from __future__ import annotations

import importlib
from typing import cast

from tuning.backend.base import Backend

__all__ = ["Backend", "make_backend"]

# Imported when it is asked for: the serial backend works where Ray is not installed.
_BACKENDS = {
    "ray": ("tuning.backend.ray_tune", "RayBackend"),
    "serial": ("tuning.backend.serial", "SerialBackend"),
}


def make_backend(name: str) -> Backend:
    """Build the backend of that name."""
    module, attribute = _BACKENDS[name]
    return cast("Backend", getattr(importlib.import_module(module), attribute)())
