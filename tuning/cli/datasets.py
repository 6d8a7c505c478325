"""`chromatune datasets`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from tuning.cli.console import show
from tuning.cli.options import Format, option


def datasets(
    data_root: Annotated[Path, option("Folder of the prepared datasets.")] = Path("data"),
    format_: Format = "table",
) -> None:
    """List the prepared datasets with their digests, which `--data` takes."""
    from tuning.workflows.datasets import datasets_table

    show([datasets_table(data_root)], format_)
