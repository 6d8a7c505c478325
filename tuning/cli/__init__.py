"""The command line: parsing and printing only."""

from __future__ import annotations

import sys

from tuning import environment

environment.set_defaults()  # before any command imports Ray or MLflow

import typer  # noqa: E402

from tuning.cli import data, launches, models, pipeline  # noqa: E402
from tuning.cli.console import errors_as_lines  # noqa: E402

__all__ = ["app", "main"]

app = typer.Typer(
    name="chromatune",
    help="Tune image-colorization models with Ray Tune, track them in MLflow, promote the best.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)
for module in (data, launches, models, pipeline):
    module.register(app)


def main() -> None:
    """Run the command line: exit status 0 all well, 1 a trial or gate failed, 2 wrong input."""
    with errors_as_lines():
        app()
    sys.exit(0)
