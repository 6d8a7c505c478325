"""`chromatune trials`: the results on a dataset so far."""

from __future__ import annotations

from typing import Annotated, Literal

from tuning.cli.console import log_line, show
from tuning.cli.options import (
    PreparedDataOptions,
    StoragePath,
    TaskArgument,
    TrackingUri,
    option,
    resolve_storage,
    resolve_uri,
    takes,
)


@takes(PreparedDataOptions)
def trials(
    task: TaskArgument,
    launch: Annotated[
        str | None,
        option(
            "Only this launch: its id, its folder, or `last` [default: the best of all grids on "
            "this dataset, the searches, and what runs]."
        ),
    ] = None,
    storage_path: StoragePath = None,
    tracking_uri: TrackingUri = None,
    format_: Annotated[
        Literal["table", "json", "csv"],
        option("Output format; csv has a row for each trial.", "--format"),
    ] = "table",
    *,
    options: PreparedDataOptions,
) -> None:
    """Show grid results beside the published numbers; trials of searches and running launches."""
    from tuning.workflows.trials import trial_tables

    where = resolve_uri(tracking_uri), resolve_storage(storage_path)
    tables = trial_tables(task, options.data_config(), *where, launch=launch, log=log_line)
    show(tables, format_)
