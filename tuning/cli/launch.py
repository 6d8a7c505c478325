"""`chromatune grid | finals | finetune | train | resume`: commands that train."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from tuning.cli.console import FAILED, INTERRUPTED, log, show
from tuning.cli.options import (
    Address,
    Format,
    LaunchOptions,
    StoragePath,
    TaskArgument,
    TrackingUri,
    numbers,
    takes,
    words,
)
from tuning.config.schema import (
    REPORT_GRIDS,
    TASKS,
    FinalsLaunchConfig,
    FinetuneLaunchConfig,
    GridLaunchConfig,
    LaunchConfig,
    Task,
    TrainLaunchConfig,
)

if TYPE_CHECKING:
    from tuning.workflows.conclusion import Conclusion


def register(app: typer.Typer) -> None:
    for command in (grid, finals, finetune, train, resume):
        app.command()(command)


@takes(LaunchOptions)
def grid(
    task: TaskArgument,
    models: Annotated[
        str | None,
        typer.Option(help="cnn1,cnn2,... \\[default: the report's].", show_default=False),
    ] = None,
    heads: Annotated[
        str | None, typer.Option(help="relu,sigmoid,tanh \\[default: the report's].")
    ] = None,
    lrs: Annotated[str | None, typer.Option(help="\\[default: 1e-3,1e-4,1e-5]")] = None,
    epochs: Annotated[str | None, typer.Option(help="\\[default: 100,300,500]")] = None,
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
    config = options.resolve(
        GridLaunchConfig,
        defaults={"grid": REPORT_GRIDS[task]},
        flags={
            "grid.models": words(models),
            "grid.heads": words(heads),
            "grid.lrs": numbers("--lrs", lrs, float),
            "grid.epochs": numbers("--epochs", epochs, int),
            "grid.epoch_scale": epoch_scale,
            "grid.independent_cells": independent_cells,
        },
    )
    from tuning.tracking.store import tracking_uri
    from tuning.workflows.grid import conclude_grid, run_grid

    outcome = run_grid(task, config, tracking_uri=tracking_uri(options.tracking_uri), console=log)
    finish([conclude_grid(outcome)], format_)


@takes(LaunchOptions)
def finals(
    task: Annotated[
        Task | None,
        typer.Argument(help="Only this task's trainings \\[default: both].", show_default=False),
    ] = None,
    lr: Annotated[
        float | None, typer.Option(help="\\[default: of the finished grid's winner]")
    ] = None,
    epochs: Annotated[
        int | None, typer.Option(help="\\[default: of the finished grid's winner]", min=1)
    ] = None,
    fc_lr: Annotated[float | None, typer.Option(help="\\[default: 1e-5, as published]")] = None,
    fc_epochs: Annotated[
        int | None, typer.Option(help="\\[default: 100, as published]", min=1)
    ] = None,
    format_: Format = "table",
    *,
    options: LaunchOptions,
) -> None:
    """Train the report's single models (Tables II and IV) and measure them on the test set."""
    config = options.resolve(
        FinalsLaunchConfig,
        flags={
            "finals.lr": lr,
            "finals.epochs": epochs,
            "finals.fc_lr": fc_lr,
            "finals.fc_epochs": fc_epochs,
        },
    )
    from tuning.tracking.store import tracking_uri
    from tuning.workflows.finals import conclude_finals, run_finals

    uri = tracking_uri(options.tracking_uri)
    tasks = TASKS if task is None else (task,)
    outcomes = run_finals(tasks, config, tracking_uri=uri, console=log)
    finish([conclude_finals(outcome, uri) for outcome in outcomes], format_)


@takes(LaunchOptions)
def finetune(
    task: TaskArgument,
    source: Annotated[
        str | None,
        typer.Option("--from", help="Dataset whose champion to start from \\[default: faces]."),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(help="Start from this registered model instead: models:/NAME/VERSION."),
    ] = None,
    lr: Annotated[float | None, typer.Option(help="\\[default: 1e-3]")] = None,
    epochs: Annotated[int | None, typer.Option(help="\\[default: 1000]", min=1)] = None,
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
    config = options.resolve(
        FinetuneLaunchConfig,
        defaults={"data": {"dataset": "ncd"}},
        flags={
            "finetune.source": source,
            "finetune.model": model,
            "finetune.lr": lr,
            "finetune.epochs": epochs,
            "finetune.compare_scratch": compare_scratch,
        },
    )
    from tuning.tracking.store import tracking_uri
    from tuning.workflows.finetune import conclude_finetune, run_finetune

    uri = tracking_uri(options.tracking_uri)
    outcome = run_finetune(task, config, tracking_uri=uri, console=log)
    finish([conclude_finetune(outcome, uri)], format_)


@takes(LaunchOptions)
def train(
    model: Annotated[
        str | None, typer.Option(help="cnn2, resnet, unet, ...", show_default=False)
    ] = None,
    head: Annotated[str | None, typer.Option(help="relu | sigmoid | tanh.")] = None,
    lr: Annotated[float | None, typer.Option(help="Highest learning rate.")] = None,
    epochs: Annotated[int | None, typer.Option(help="Epochs to train for.", min=1)] = None,
    initial_model: Annotated[
        str | None,
        typer.Option(help="Start from this registered model: models:/NAME@champion."),
    ] = None,
    promote: Annotated[
        bool | None,
        typer.Option("--promote", help="Make it champion if it wins.", show_default=False),
    ] = None,
    format_: Format = "table",
    *,
    options: LaunchOptions,
) -> None:
    """Train one configuration alone, such as a search's best, and measure it on the test set."""
    config = options.resolve(
        TrainLaunchConfig,
        flags={
            "train.model": model,
            "train.head": head,
            "train.lr": lr,
            "train.epochs": epochs,
            "train.initial_model": initial_model,
            "train.promote": promote,
        },
    )
    from tuning.tracking.store import tracking_uri
    from tuning.workflows.train import conclude_train, run_train

    uri = tracking_uri(options.tracking_uri)
    outcome = run_train(config, tracking_uri=uri, console=log)
    finish([conclude_train(outcome, uri)], format_)


def resume(
    launch: Annotated[str, typer.Argument(help="Launch id, its folder, or `last`.")] = "last",
    storage_path: StoragePath = None,
    address: Address = None,
    tracking_uri: TrackingUri = None,
    format_: Format = "table",
) -> None:
    """Go on with a launch: what is finished stays, the rest continues from its checkpoints."""
    from tuning.launch.folder import open_launch
    from tuning.workflows.resume import conclude, resume_launch
    from tuning.workflows.trust import store_of

    where = LaunchConfig(storage_path=storage_path) if storage_path else LaunchConfig()
    opened = open_launch(launch, where.storage_path)
    uri = store_of(opened, tracking_uri)
    outcome = resume_launch(opened, address=address, tracking_uri=uri, console=log)
    finish([conclude(outcome, uri)], format_)


def finish(conclusions: Sequence[Conclusion], format_: str) -> NoReturn:
    """Print what launches have come to, and exit as their outcomes demand."""
    promotions = [one.promotion for one in conclusions if one.promotion is not None]
    show([one.table for one in conclusions], format_, promotions)
    for conclusion in conclusions:
        for line in conclusion.advice:
            log.print(line, soft_wrap=True, markup=False)
    if any(conclusion.outcome.interrupted for conclusion in conclusions):
        sys.exit(INTERRUPTED)
    sys.exit(0 if all(conclusion.succeeded for conclusion in conclusions) else FAILED)
