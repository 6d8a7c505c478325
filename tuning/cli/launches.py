"""`chromatune grid | finals | finetune | resume`: commands that train."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from tuning.cli.console import FAILED, log, results, show
from tuning.cli.options import (
    Format,
    LaunchOptions,
    StoragePath,
    TaskArgument,
    TrackingUri,
    numbers,
    takes,
    words,
)
from tuning.config import (
    REPORT_GRIDS,
    FinalsLaunchConfig,
    FinetuneLaunchConfig,
    GridLaunchConfig,
    LaunchConfig,
    resolve,
)

_INTERRUPTED = 130


def register(app: typer.Typer) -> None:
    for command in (grid, finals, finetune, resume):
        app.command()(command)


@takes(LaunchOptions)
def grid(
    task: TaskArgument,
    models: Annotated[
        str | None, typer.Option(help="cnn1,cnn2,... [default: the report's].", show_default=False)
    ] = None,
    heads: Annotated[
        str | None, typer.Option(help="relu,sigmoid,tanh [default: the report's].")
    ] = None,
    lrs: Annotated[str | None, typer.Option(help="[default: 1e-3,1e-4,1e-5]")] = None,
    epochs: Annotated[str | None, typer.Option(help="[default: 100,300,500]")] = None,
    epoch_scale: Annotated[
        float | None, typer.Option(help="Shrink the epochs: 0.01 makes 1, 3, 5 of them.")
    ] = None,
    independent_cells: Annotated[
        bool | None,
        typer.Option(
            "--independent-cells",
            help="Train every cell from scratch instead of cutting cells from one training.",
            show_default=False,
        ),
    ] = None,
    format_: Format = "table",
    *,
    options: LaunchOptions,
) -> None:
    """Run a grid: the report's 27 cells unless told otherwise."""
    config = resolve(
        GridLaunchConfig,
        defaults={"grid": REPORT_GRIDS[task]},
        file=options.config,
        overrides=options.set_ or (),
        flags={
            **options.flags(),
            "grid.models": words(models),
            "grid.heads": words(heads),
            "grid.lrs": numbers("--lrs", lrs, float),
            "grid.epochs": numbers("--epochs", epochs, int),
            "grid.epoch_scale": epoch_scale,
            "grid.independent_cells": independent_cells,
        },
    )
    from tuning.grid import run_grid
    from tuning.tracking import tracking_uri

    outcome = run_grid(task, config, tracking_uri=tracking_uri(options.tracking_uri), console=log)
    _finish([outcome], format_)


@takes(LaunchOptions)
def finals(
    task: Annotated[
        Task | None,
        typer.Argument(help="Only this task's trainings [default: both].", show_default=False),
    ] = None,
    lr: Annotated[
        float | None, typer.Option(help="[default: of the finished grid's winner]")
    ] = None,
    epochs: Annotated[
        int | None, typer.Option(help="[default: of the finished grid's winner]", min=1)
    ] = None,
    fc_lr: Annotated[float | None, typer.Option(help="[default: 1e-5, as published]")] = None,
    fc_epochs: Annotated[
        int | None, typer.Option(help="[default: 100, as published]", min=1)
    ] = None,
    format_: Format = "table",
    *,
    options: LaunchOptions,
) -> None:
    """Train the report's single models (Tables II and IV) and measure them on the test set."""
    config = resolve(
        FinalsLaunchConfig,
        file=options.config,
        overrides=options.set_ or (),
        flags={
            **options.flags(),
            "finals.lr": lr,
            "finals.epochs": epochs,
            "finals.fc_lr": fc_lr,
            "finals.fc_epochs": fc_epochs,
        },
    )
    from tuning.finals import run_finals
    from tuning.tracking import tracking_uri

    uri = tracking_uri(options.tracking_uri)
    complete = True
    for one in TASKS if task is None else (task,):
        outcome, table = run_finals(one, config, tracking_uri=uri, console=log)
        report_launch(outcome, [table.rich()], table.records(), format_)
        complete &= outcome.complete
    sys.exit(0 if complete else FAILED)


@takes(LaunchOptions)
def finetune(
    task: TaskArgument,
    source: Annotated[
        str | None,
        typer.Option("--from", help="Dataset whose champion to start from [default: faces]."),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(help="Start from this registered model instead: models:/NAME/VERSION."),
    ] = None,
    lr: Annotated[float | None, typer.Option(help="[default: 1e-3]")] = None,
    epochs: Annotated[int | None, typer.Option(help="[default: 1000]", min=1)] = None,
    compare_scratch: Annotated[
        bool | None,
        typer.Option(
            "--compare-scratch",
            help="Also train the same model from scratch for as long.",
            show_default=False,
        ),
    ] = None,
    format_: Format = "table",
    *,
    options: LaunchOptions,
) -> None:
    """Go on training a champion on another dataset and promote it if it wins there."""
    config = resolve(
        FinetuneLaunchConfig,
        defaults={"data": {"dataset": "ncd"}},
        file=options.config,
        overrides=options.set_ or (),
        flags={
            **options.flags(),
            "finetune.source": source,
            "finetune.model": model,
            "finetune.lr": lr,
            "finetune.epochs": epochs,
            "finetune.compare_scratch": compare_scratch,
        },
    )
    from tuning.finetune import run_finetune
    from tuning.tracking import tracking_uri

    uri = tracking_uri(options.tracking_uri)
    outcome, table = run_finetune(task, config, tracking_uri=uri, console=log)
    report_launch(outcome, [table.rich()], table.records(), format_)
    sys.exit(0 if outcome.complete else FAILED)
