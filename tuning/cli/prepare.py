"""`chromatune prepare`."""

from __future__ import annotations

import dataclasses
from typing import Annotated

import typer

from tuning.cli.console import log, print_line
from tuning.cli.options import DataOptions, data_option, option, takes
from tuning.display.steps import step_progress


@dataclasses.dataclass(frozen=True)
class PrepareOptions(DataOptions):
    """How pictures become a dataset."""

    split: Annotated[
        str | None,
        data_option(
            "random; group: no group is in two splits; stratified: each group is in all splits; "
            "subject: group, of faces; or a CSV file of path,side with the sides train, val and "
            "test [default: folders with these names, else random].",
        ),
    ] = None
    group_by: Annotated[
        str | None,
        data_option(
            "folder, none, or a regular expression whose first group, found in the path of an "
            "image, is its group [default: the layout of a known dataset; folder where the split "
            "needs groups, else none].",
        ),
    ] = None


@takes(PrepareOptions)
def prepare(
    dataset: Annotated[  # noqa: ARG001  (in `options`)
        str,
        typer.Argument(
            help="faces | ncd | synthetic-faces | synthetic-fruits, or a name of your own for the "
            "images in --source: lower-case letters, digits, dashes."
        ),
    ],
    source: Annotated[
        str | None,
        option(
            "Folder, zip or http(s) address of the images "
            "[default: download the official archive of faces or ncd].",
        ),
    ] = None,
    overwrite: Annotated[
        bool, option("Replace a dataset prepared from other images.", "--overwrite")
    ] = False,
    *,
    options: PrepareOptions,
) -> None:
    """Split, resize and augment images, and store them as Lab arrays."""
    from data_prep import PrepareSettings
    from tuning.workflows.prepare import run_prepare

    data = options.data_config()
    if data.size != PrepareSettings.size:  # importing the models takes a second
        from models import describe_image_size

        print_line(describe_image_size(data.size), log)
    with step_progress(log) as progress:
        prepared = run_prepare(data, source, overwrite=overwrite, progress=progress)
    print_line(prepared.summary)
