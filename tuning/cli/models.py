"""`chromatune trials | promote`: comparing runs and moving the champion."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from tuning.cli.console import FAILED, show
from tuning.cli.options import DataOptions, Device, Format, TaskArgument, TrackingUri, takes
from tuning.config.schema import DataConfig, resolve


def register(app: typer.Typer) -> None:
    for command in (trials, promote):
        app.command()(command)


def _data_config(options: DataOptions) -> DataConfig:
    flags = {key.removeprefix("data."): value for key, value in options.flags().items()}
    return resolve(DataConfig, flags=flags)


@takes(DataOptions)
def trials(
    task: TaskArgument,
    launch: Annotated[
        str | None,
        typer.Option(help="Only this launch \\[default: the best of all on this data]."),
    ] = None,
    tracking_uri: TrackingUri = None,
    format_: Format = "table",
    *,
    options: DataOptions,
) -> None:
    """Show the grid as the report's table, beside what it published."""
    from tuning.tracking.store import tracking_uri as resolve_uri
    from tuning.workflows.grid_table import trials_table

    table = trials_table(task, _data_config(options), resolve_uri(tracking_uri), launch=launch)
    show([table], format_)


@takes(DataOptions)
def promote(
    task: TaskArgument,
    run_id: Annotated[
        str | None, typer.Option(help="Promote this run \\[default: the best by val].")
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Move the alias even if the champion is better.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Measure and tell, but register nothing.")
    ] = False,
    device: Device = "auto",
    tracking_uri: TrackingUri = None,
    format_: Format = "table",
    *,
    options: DataOptions,
) -> None:
    """Measure the best cell on the test set, register it, and make it champion if it wins."""
    from tuning.launch.datasets import open_prepared
    from tuning.tracking.registry.promotion import promote as promote_run
    from tuning.tracking.store import tracking_uri as resolve_uri
    from tuning.training.devices import pick_device
    from tuning.workflows.evaluation import promotion_table

    dataset = open_prepared(_data_config(options))
    promotion = promote_run(
        dataset,
        task,
        resolve_uri(tracking_uri),
        run_id=run_id,
        force=force,
        dry_run=dry_run,
        device=pick_device(device),
    )
    show([promotion_table(promotion, task)], format_, [promotion])
    sys.exit(0 if promotion.passed or dry_run else FAILED)
