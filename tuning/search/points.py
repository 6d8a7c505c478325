"""Configurations to try first, read from a YAML file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tuning.errors import ChromatuneError
from tuning.utils.safe_yaml import read_yaml_file


def read_points(file: Path) -> list[dict[str, Any]]:
    """Read a YAML list of `key: value` configurations; what one leaves open is drawn.

    Raises ChromatuneError if the file cannot be read or holds anything else.
    """
    content = read_yaml_file(file, "points")
    if not isinstance(content, list) or not all(map(_is_configuration, content)):
        raise ChromatuneError(
            f"{file} must hold a list of configurations, such as `- {{lr: 1.0e-3, model: unet}}`"
        )
    return content


def _is_configuration(entry: Any) -> bool:
    return isinstance(entry, dict) and all(isinstance(key, str) for key in entry)
