"""`chromatune launches | status | stop | delete`: launches that exist."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from tuning.cli.console import FAILED, log, log_line, print_line, show
from tuning.cli.options import (
    Format,
    StoragePath,
    TrackingUri,
    option,
    resolve_storage,
)
from tuning.errors import ChromatuneError


def launch_names(incomplete: str) -> list[str]:
    """Complete the id of a launch in the default storage path."""
    from tuning.launch.find import list_documents

    try:
        found = list_documents(resolve_storage(None))
    except ChromatuneError:
        return []
    names = ["last", *(storage.name for storage, _ in reversed(found))]
    return [name for name in names if name.startswith(incomplete)]


LAUNCH_HELP = "Launch id, its folder, or `last`."
LaunchArgument = Annotated[str, typer.Argument(help=LAUNCH_HELP, autocompletion=launch_names)]


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


def delete(
    launch: Annotated[
        str, typer.Argument(help=LAUNCH_HELP, autocompletion=launch_names, show_default=False)
    ],
    storage_path: StoragePath = None,
    with_runs: Annotated[
        bool, option("Also delete its runs and models in MLflow.", "--with-runs")
    ] = False,
    force: Annotated[
        bool, option("Also delete registered models that come from these runs.", "--force")
    ] = False,
    yes: Annotated[bool, option("Do not ask.", "--yes", "-y")] = False,
    tracking_uri: TrackingUri = None,
) -> None:
    """Delete a launch that is not running: its folder, with models and checkpoints."""
    from tuning.workflows.delete import delete_launch, plan_deletion

    path = resolve_storage(storage_path)
    deletion = plan_deletion(
        launch, path, with_runs=with_runs, tracking_uri=tracking_uri, force=force
    )
    if not yes:
        if not sys.stdin.isatty():
            raise ChromatuneError(f"there is no terminal to ask: --yes deletes {deletion.summary}")
        if not typer.confirm(f"delete {deletion.summary}?", err=True):
            print_line("nothing was deleted")
            sys.exit(FAILED)
    delete_launch(deletion)
    print_line(f"deleted {deletion.summary}")
