"""The command line: parsing and printing only."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable
from typing import Annotated

import typer

from tuning.cli import (
    colorize,
    configs,
    datasets,
    doctor,
    launch,
    launches,
    prepare,
    promote,
    report,
    reproduce,
    schema,
    search,
    serve,
    trials,
    ui,
)
from tuning.cli.console import INTERRUPTED, results_alone
from tuning.cli.failures import errors_as_lines, hide_secrets_in_tracebacks
from tuning.cli.options import option
from tuning.cli.paths import expanding_paths
from tuning.cli.terminal import prepare_streams, stop_on_hangup
from tuning.utils import environment

__all__ = ["app", "main"]

app = typer.Typer(
    name="chromatune",
    help="Tune image-colorization models with Ray Tune, track them in MLflow, promote the best.",
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(wanted: bool) -> None:
    if wanted:
        import importlib.metadata

        print(f"chromatune {importlib.metadata.version('chromatune')}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, option("Print the version.", "--version", callback=_print_version)
    ] = False,
) -> None:
    pass


def _help(command: Callable[..., object]) -> str:
    """The docstring, where line breaks separate paragraphs only; typer keeps most others."""
    paragraphs = inspect.cleandoc(command.__doc__ or "").split("\n\n")
    return "\n\n".join(paragraph.replace("\n", " ") for paragraph in paragraphs)


for command in (
    *(
        prepare.prepare,
        datasets.datasets,
        configs.configs,
        schema.schema,
        configs.examples,
        launch.grid,
        launch.finals,
        search.search,
    ),
    *(launch.train, launch.resume, trials.trials),
    *(launches.launches, launches.status, launches.stop, launches.delete),
    *(promote.promote, launch.finetune, colorize.colorize, serve.serve),
    *(reproduce.reproduce, report.report, report.speedup, ui.ui, doctor.doctor),
):
    app.command(help=_help(command))(expanding_paths(results_alone()(command)))


def main() -> None:
    """Run the command line.

    Exit status 0 is success, 1 a trial or gate that failed, 2 wrong input, 70 an unexpected error,
    130 an interruption.
    """
    prepare_streams()
    hide_secrets_in_tracebacks()
    with errors_as_lines():
        stop_on_hangup()
        environment.check()
        # typer returns the status of a Ctrl-C instead of raising it.
        if app(args=sys.argv[1:] or ["--help"], standalone_mode=False) == INTERRUPTED:
            raise KeyboardInterrupt
    sys.exit(0)
