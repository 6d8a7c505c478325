"""`chromatune datasets`."""

from __future__ import annotations

from typing import Annotated

from tuning.cli.console import show
from tuning.cli.options import Format, option


def datasets(
    data_root: Annotated[str, option("Folder of the prepared datasets, or its URI.")] = "data",
    format_: Format = "table",
) -> None:
    """List the prepared datasets with their digests, which `--data` takes."""
    from tuning.config.schema import DataConfig, resolve
    from tuning.workflows.datasets import datasets_table

    show([datasets_table(resolve(DataConfig, flags={"root": data_root}))], format_)
