"""`chromatune launches | status | stop | delete`: launches that exist."""

from __future__ import annotations

from tuning.cli.console import show
from tuning.cli.options import Format, StoragePath, resolve_storage


def launches(storage_path: StoragePath = None, format_: Format = "table") -> None:
    """List the launches: which run, and where; what is done, and the best result of each."""
    from tuning.workflows.launches import launches_table

    show([launches_table(resolve_storage(storage_path))], format_)
