"""`chromatune trials`: the cells of a dataset, as the report's table."""

from __future__ import annotations

from typing import Annotated

from tuning.cli.console import show
from tuning.cli.options import (
    DataOptions,
    Format,
    TaskArgument,
    TrackingUri,
    option,
    resolve_uri,
    takes,
)


@takes(DataOptions)
def trials(
    task: TaskArgument,
    launch: Annotated[
        str | None, option("Only this launch [default: the best of all on this dataset].")
    ] = None,
    tracking_uri: TrackingUri = None,
    format_: Format = "table",
    *,
    options: DataOptions,
) -> None:
    """Show grid results beside the published numbers."""
    from tuning.workflows.trials import trials_table

    table = trials_table(task, options.data(), resolve_uri(tracking_uri), launch=launch)
    show([table], format_)
