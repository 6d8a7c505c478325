"""Configurations to try first, read from a YAML file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from tuning.errors import ChromatuneError


def read_points(file: Path) -> list[dict[str, Any]]:
    """Read a YAML list of `key: value` configurations; what one leaves open is drawn.

    Raises ChromatuneError if the file cannot be read or holds anything else.
    """
    try:
        content = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise ChromatuneError(f"cannot read the points {file}: {error}") from None
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise ChromatuneError(f"{file} is not valid YAML: {str(error).splitlines()[0]}") from None
    if not isinstance(content, list) or not all(isinstance(one, dict) for one in content):
        raise ChromatuneError(
            f"{file} must hold a list of configurations, such as `- {{lr: 1.0e-3, model: unet}}`"
        )
    return content
