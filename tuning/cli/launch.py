"""`chromatune grid | finals | finetune | train | resume`: commands that train."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from tuning.cli.console import FAILED, INTERRUPTED, log, print_line, show
from tuning.cli.launched import begin
from tuning.cli.launches import LaunchArgument
from tuning.cli.options import (
    Address,
    Backend,
    Detach,
    Epochs,
    Format,
    Imports,
    LearningRate,
    Notify,
    PreparedLaunchOptions,
    StoragePath,
    TaskArgument,
    TrackingUri,
    TrustCode,
    option,
    resolve_storage,
    takes,
    words,
)
from tuning.training.tasks import TASKS, Task

if TYPE_CHECKING:
    from tuning.launch.outcomes import LaunchOutcome
    from tuning.workflows.run_launch import Session


_Force = Annotated[bool | None, option("Promote it even if it does not win.", "--force")]


def _words(text: str) -> Any:
    """An option of words separated by commas, which become a list."""
    return option(text, callback=words)


@dataclasses.dataclass(frozen=True)
class GridOptions(PreparedLaunchOptions):
    """The axes of a grid."""

    section = "grid"

    models: Annotated[
        str | None, _words("Comma-separated, such as cnn1,cnn2 [default: as published].")
    ] = None
    heads: Annotated[
        str | None, _words("Of relu, sigmoid, tanh, comma-separated [default: as published].")
    ] = None
    lrs: Annotated[str | None, _words("Learning rates [default: 1e-3,1e-4,1e-5].")] = None
    epochs: Annotated[str | None, _words("Numbers of epochs [default: 100,300,500].")] = None
    epoch_scale: Annotated[
        float | None, option("Multiply the epochs: 0.01 turns 100,300,500 into 1,3,5.")
    ] = None
    independent_cells: Annotated[
        bool | None,
        option(
            "Train every cell from scratch, rather than take the cells of a longer training from "
            "its earlier epochs.",
            "--independent-cells",
        ),
    ] = None


@takes(GridOptions)
def grid(task: TaskArgument, format_: Format = "table", *, options: GridOptions) -> None:
    """Train a grid, by default the 27 cells of the original paper."""
    from tuning.config.schema import REPORT_GRIDS, GridLaunchConfig

    config = options.resolve(GridLaunchConfig, defaults={"grid": REPORT_GRIDS[task]})
    from tuning.workflows.grid import run_grid

    session = options.session(config)
    finish([run_grid(task, config, session)], session, format_)


@dataclasses.dataclass(frozen=True)
class FinalsOptions(PreparedLaunchOptions):
    """How the published single models are trained."""

    section = "finals"

    lr: LearningRate = None
    epochs: Epochs = None
    fc_lr: Annotated[float | None, option("Learning rate of FC [default: 1e-5].")] = None
    fc_epochs: Annotated[int | None, option("Epochs of FC [default: 100].", min=1)] = None


@takes(FinalsOptions)
def finals(
    task: Annotated[
        Task | None,
        typer.Argument(help="Only this task, rather than both."),
    ] = None,
    format_: Format = "table",
    *,
    options: FinalsOptions,
) -> None:
    """Train the single models of Tables II and IV and evaluate them on the test set.

    By default with the learning rate and epochs of the grid's best cell.
    """
    from tuning.config.schema import FinalsLaunchConfig

    config = options.resolve(FinalsLaunchConfig)
    from tuning.workflows.finals import run_finals

    session = options.session(config)
    tasks = TASKS if task is None else (task,)
    finish(run_finals(tasks, config, session), session, format_)


@dataclasses.dataclass(frozen=True)
class FinetuneOptions(PreparedLaunchOptions):
    """Which model is trained further, and how."""

    section = "finetune"

    source: Annotated[
        str | None,
        option("Dataset whose champion to start from [default: faces].", "--from"),
    ] = None
    model: Annotated[
        str | None,
        option("Registered model to start from instead: models:/NAME/VERSION."),
    ] = None
    lr: LearningRate = None
    epochs: Epochs = None
    compare_scratch: Annotated[
        bool | None,
        option(
            "Also train the same model from random weights for as many epochs.",
            "--compare-scratch",
        ),
    ] = None
    force: _Force = None


@takes(FinetuneOptions)
def finetune(task: TaskArgument, format_: Format = "table", *, options: FinetuneOptions) -> None:
    """Continue training a champion on another dataset; promote it if it wins there.

    By default for 1000 epochs with a learning rate of 1e-3, on NCD.
    """
    from tuning.config.schema import FinetuneLaunchConfig

    config = options.resolve(FinetuneLaunchConfig, defaults={"data": {"dataset": "ncd"}})
    from tuning.workflows.finetune import run_finetune

    session = options.session(config)
    finish([run_finetune(task, config, session)], session, format_)


@dataclasses.dataclass(frozen=True)
class TrainOptions(PreparedLaunchOptions):
    """One configuration."""

    section = "train"

    model: Annotated[str | None, option("Architecture, such as cnn2, resnet or unet.")] = None
    head: Annotated[str | None, option("relu | sigmoid | tanh [default: tanh].")] = None
    lr: LearningRate = None
    epochs: Epochs = None
    initial_model: Annotated[
        str | None, option("Registered model to start from: models:/NAME@champion.")
    ] = None
    promote: Annotated[bool | None, option("Make it champion if it wins.", "--promote")] = None
    force: _Force = None


@takes(TrainOptions)
def train(format_: Format = "table", *, options: TrainOptions) -> None:
    """Train one configuration, such as a search's best, and evaluate it on the test set."""
    from tuning.config.schema import TrainLaunchConfig

    config = options.resolve(TrainLaunchConfig)
    from tuning.workflows.train import run_train

    session = options.session(config)
    finish([run_train(config, session)], session, format_)


def resume(
    launch: LaunchArgument = "last",
    storage_path: StoragePath = None,
    address: Address = None,
    backend: Backend = None,
    tracking_uri: TrackingUri = None,
    take_over: Annotated[
        bool, option("Resume although another process seems to run the launch.", "--take-over")
    ] = False,
    notify: Notify = None,
    detach: Detach = False,  # noqa: ARG001  (by its callback)
    import_: Imports = None,
    trust_code: TrustCode = False,
    format_: Format = "table",
) -> None:
    """Resume a launch: finished cells stay, the others continue from their checkpoints."""
    from tuning.config.imports import allow_code
    from tuning.launch.folder import open_launch
    from tuning.workflows.address_checks import store_of
    from tuning.workflows.resume import resume_launch
    from tuning.workflows.run_launch import Session

    given = allow_code(import_ or (), trust=trust_code)
    opened = open_launch(launch, resolve_storage(storage_path), given)
    uri = store_of(opened, tracking_uri, backend)
    session = Session(uri, log, begin, take_over=take_over, notify=notify)
    outcome = resume_launch(opened, session, address=address, backend=backend)
    finish([outcome], session, format_)


def finish(outcomes: Iterable[LaunchOutcome], session: Session, format_: str) -> NoReturn:
    """Print the results of launches and exit with the status that they call for."""
    from tuning.workflows.resume import conclude

    conclusions = [conclude(outcome, session.tracking_uri) for outcome in outcomes]
    promotions = [each.promotion for each in conclusions if each.promotion is not None]
    show([each.table for each in conclusions], format_, promotions)
    for conclusion in conclusions:
        for line in conclusion.advice:
            print_line(line, log)
    if any(conclusion.outcome.interrupted for conclusion in conclusions):
        sys.exit(INTERRUPTED)
    sys.exit(0 if all(conclusion.succeeded for conclusion in conclusions) else FAILED)
