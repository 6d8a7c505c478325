"""`chromatune grid | finals | finetune | train | resume`: commands that train."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from tuning.cli.console import FAILED, INTERRUPTED, log, show
from tuning.cli.options import (
    Address,
    Backend,
    Epochs,
    Format,
    LaunchOptions,
    LearningRate,
    StoragePath,
    TaskArgument,
    TrackingUri,
    option,
    resolve_storage,
    section,
    takes,
    words,
)
from tuning.training.tasks import TASKS, Task

if TYPE_CHECKING:
    from tuning.workflows.conclusion import Conclusion


@takes(LaunchOptions)
def grid(
    task: TaskArgument,
    models: Annotated[
        str | None, option("Comma-separated, such as cnn1,cnn2 [default: as published].")
    ] = None,
    heads: Annotated[
        str | None, option("Of relu, sigmoid, tanh, comma-separated [default: as published].")
    ] = None,
    lrs: Annotated[str | None, option("Learning rates [default: 1e-3,1e-4,1e-5].")] = None,
    epochs: Annotated[str | None, option("Numbers of epochs [default: 100,300,500].")] = None,
    epoch_scale: Annotated[
        float | None, option("Multiply the epochs: 0.01 turns 100,300,500 into 1,3,5.")
    ] = None,
    independent_cells: Annotated[
        bool | None,
        option(
            "Train every cell from scratch, rather than take the cells of a longer training from "
            "its earlier epochs.",
            "--independent-cells",
        ),
    ] = None,
    format_: Format = "table",
    *,
    options: LaunchOptions,
) -> None:
    """Train a grid, by default the 27 cells of the original paper."""
    from tuning.config.schema import REPORT_GRIDS, GridLaunchConfig

    config = options.resolve(
        GridLaunchConfig,
        section(
            "grid",
            models=words(models),
            heads=words(heads),
            lrs=words(lrs),
            epochs=words(epochs),
            epoch_scale=epoch_scale,
            independent_cells=independent_cells,
        ),
        defaults={"grid": REPORT_GRIDS[task]},
    )
    from tuning.workflows.grid import conclude_grid, run_grid

    outcome = run_grid(task, config, tracking_uri=options.uri(config), console=log)
    finish([conclude_grid(outcome)], format_)


@takes(LaunchOptions)
def finals(
    task: Annotated[
        Task | None,
        typer.Argument(help="Only this task, rather than both."),
    ] = None,
    lr: LearningRate = None,
    epochs: Epochs = None,
    fc_lr: Annotated[float | None, option("Learning rate of FC [default: 1e-5].")] = None,
    fc_epochs: Annotated[int | None, option("Epochs of FC [default: 100].", min=1)] = None,
    format_: Format = "table",
    *,
    options: LaunchOptions,
) -> None:
    """Train the single models of Tables II and IV and evaluate them on the test set.

    By default with the learning rate and epochs of the grid's best cell.
    """
    from tuning.config.schema import FinalsLaunchConfig

    config = options.resolve(
        FinalsLaunchConfig,
        section("finals", lr=lr, epochs=epochs, fc_lr=fc_lr, fc_epochs=fc_epochs),
    )
    from tuning.workflows.finals import conclude_finals, run_finals

    uri = options.uri(config)
    tasks = TASKS if task is None else (task,)
    outcomes = run_finals(tasks, config, tracking_uri=uri, console=log)
    finish([conclude_finals(outcome, uri) for outcome in outcomes], format_)


@takes(LaunchOptions)
def finetune(
    task: TaskArgument,
    source: Annotated[
        str | None,
        option("Dataset whose champion to start from [default: faces].", "--from"),
    ] = None,
    model: Annotated[
        str | None,
        option("Registered model to start from instead: models:/NAME/VERSION."),
    ] = None,
    lr: LearningRate = None,
    epochs: Epochs = None,
    compare_scratch: Annotated[
        bool | None,
        option(
            "Also train the same model from random weights for as many epochs.",
            "--compare-scratch",
        ),
    ] = None,
    format_: Format = "table",
    *,
    options: LaunchOptions,
) -> None:
    """Continue training a champion on another dataset; promote it if it wins there.

    By default for 1000 epochs with a learning rate of 1e-3, on NCD.
    """
    from tuning.config.schema import FinetuneLaunchConfig

    config = options.resolve(
        FinetuneLaunchConfig,
        section(
            "finetune",
            source=source,
            model=model,
            lr=lr,
            epochs=epochs,
            compare_scratch=compare_scratch,
        ),
        defaults={"data": {"dataset": "ncd"}},
    )
    from tuning.workflows.finetune import conclude_finetune, run_finetune

    uri = options.uri(config)
    outcome = run_finetune(task, config, tracking_uri=uri, console=log)
    finish([conclude_finetune(outcome, uri)], format_)


@takes(LaunchOptions)
def train(
    model: Annotated[str | None, option("Architecture, such as cnn2, resnet or unet.")] = None,
    head: Annotated[str | None, option("relu | sigmoid | tanh [default: tanh].")] = None,
    lr: LearningRate = None,
    epochs: Epochs = None,
    initial_model: Annotated[
        str | None, option("Registered model to start from: models:/NAME@champion.")
    ] = None,
    promote: Annotated[bool | None, option("Make it champion if it wins.", "--promote")] = None,
    format_: Format = "table",
    *,
    options: LaunchOptions,
) -> None:
    """Train one configuration, such as a search's best, and evaluate it on the test set."""
    from tuning.config.schema import TrainLaunchConfig

    config = options.resolve(
        TrainLaunchConfig,
        section(
            "train",
            model=model,
            head=head,
            lr=lr,
            epochs=epochs,
            initial_model=initial_model,
            promote=promote,
        ),
    )
    from tuning.workflows.train import conclude_train, run_train

    uri = options.uri(config)
    outcome = run_train(config, tracking_uri=uri, console=log)
    finish([conclude_train(outcome, uri)], format_)


def resume(
    launch: Annotated[str, typer.Argument(help="Launch id, its folder, or `last`.")] = "last",
    storage_path: StoragePath = None,
    address: Address = None,
    backend: Backend = None,
    tracking_uri: TrackingUri = None,
    take_over: Annotated[
        bool, option("Resume although another process seems to run the launch.", "--take-over")
    ] = False,
    format_: Format = "table",
) -> None:
    """Resume a launch: finished cells stay, the others continue from their checkpoints."""
    from tuning.launch.folder import open_launch
    from tuning.workflows.resume import conclude, resume_launch
    from tuning.workflows.trust import store_of

    opened = open_launch(launch, resolve_storage(storage_path))
    uri = store_of(opened, tracking_uri, backend)
    outcome = resume_launch(
        opened,
        address=address,
        backend=backend,
        tracking_uri=uri,
        console=log,
        take_over=take_over,
    )
    finish([conclude(outcome, uri)], format_)


def finish(conclusions: Sequence[Conclusion], format_: str) -> NoReturn:
    """Print the results of launches and exit with the status that they call for."""
    promotions = [each.promotion for each in conclusions if each.promotion is not None]
    show([each.table for each in conclusions], format_, promotions)
    for conclusion in conclusions:
        for line in conclusion.advice:
            log.print(line, soft_wrap=True, markup=False)
    if any(conclusion.outcome.interrupted for conclusion in conclusions):
        sys.exit(INTERRUPTED)
    sys.exit(0 if all(conclusion.succeeded for conclusion in conclusions) else FAILED)
