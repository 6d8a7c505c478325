"""`chromatune trials`: the cells of a dataset, as the report's table."""

from __future__ import annotations

from typing import Annotated

from tuning.cli.console import log_line, show
from tuning.cli.options import (
    Format,
    PreparedDataOptions,
    TaskArgument,
    TrackingUri,
    option,
    resolve_uri,
    takes,
)


@takes(PreparedDataOptions)
def trials(
    task: TaskArgument,
    launch: Annotated[
        str | None, option("Only this launch [default: the best of all on this dataset].")
    ] = None,
    tracking_uri: TrackingUri = None,
    format_: Format = "table",
    *,
    options: PreparedDataOptions,
) -> None:
    """Show grid results beside the published numbers."""
    from tuning.workflows.trials import trials_table

    uri = resolve_uri(tracking_uri)
    table = trials_table(task, options.data_config(), uri, launch=launch, log=log_line)
    show([table], format_)
