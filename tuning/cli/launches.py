"""`chromatune launches | status | stop | delete`: launches that exist."""

from __future__ import annotations

import sys
from typing import Annotated

from tuning.cli.console import FAILED, log, log_line, print_line, show
from tuning.cli.options import Format, LaunchArgument, StoragePath, option, resolve_storage


def launches(storage_path: StoragePath = None, format_: Format = "table") -> None:
    """List the launches: which run, and where; what is done, and the best result of each."""
    from tuning.workflows.launches import launches_table

    show([launches_table(resolve_storage(storage_path))], format_)


def status(
    launch: LaunchArgument = "last",
    storage_path: StoragePath = None,
    follow: Annotated[
        bool, option("Show the progress until the launch ends, from anywhere.", "--follow", "-f")
    ] = False,
    format_: Format = "table",
) -> None:
    """Show where a launch stands: each trial's epoch, score and node, and why it failed."""
    from tuning.workflows.status import follow_launch, launch_status

    path = resolve_storage(storage_path)
    table = follow_launch(launch, path, log) if follow else launch_status(launch, path)
    show([table], format_)
    for line in table.errors if format_ == "table" else ():
        print_line(line)


def stop(
    launch: LaunchArgument = "last",
    storage_path: StoragePath = None,
    timeout_s: Annotated[
        float, option("How long to wait until it has stopped [default: 300].", min=0)
    ] = 300.0,
) -> None:
    """Stop a launch that another process runs, here or on another machine, as Ctrl-C would.

    Its trials save their last epoch. Exit status 1 if it has not stopped in time.
    """
    from tuning.workflows.stop import stop_launch

    stopped = stop_launch(launch, resolve_storage(storage_path), log_line, timeout_s=timeout_s)
    print_line(stopped.message)
    sys.exit(0 if stopped.has_ended else FAILED)
